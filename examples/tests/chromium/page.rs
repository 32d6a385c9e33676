//! A page in a browser, and what a person does with it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::devtools::DevTools;

/// How long something may take to appear.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Page {
    devtools: DevTools,
    session: String,
}

impl Page {
    /// An empty page of a size that suits a screenshot.
    pub(crate) fn open(mut devtools: DevTools) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let target = devtools.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = text(&target.expect("a page")["targetId"]);
        let parameters = json!({ "targetId": target, "flatten": true });
        let attached = devtools.call(None, "Target.attachToTarget", parameters);
        let session = text(&attached.expect("a session")["sessionId"]);
        let mut page = Self { devtools, session };
        page.call("Page.enable", json!({}));
        let size = json!({ "width": 760, "height": 520, "deviceScaleFactor": 1, "mobile": false });
        page.call("Emulation.setDeviceMetricsOverride", size);
        page
    }

    pub(crate) fn go(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert_eq!(answer.get("errorText"), None, "{url}");
    }

    pub(crate) fn reload(&mut self) {
        self.evaluate("document.body.dataset.old = true");
        self.call("Page.reload", json!({}));
        self.wait_for("body:not([data-old])");
    }

    /// Waits until there is such an element in a page that is complete.
    pub(crate) fn wait_for(&mut self, selector: &str) {
        let selector = Value::from(selector);
        let is_there =
            format!("document.readyState == 'complete' && !!document.querySelector({selector})");
        let until = Instant::now() + DEADLINE;
        // While one page gives way to another, there is none to ask.
        while self.try_evaluate(&is_there) != Ok(Value::Bool(true)) {
            if Instant::now() > until {
                let page = self.try_evaluate("location.href + document.documentElement.outerHTML");
                panic!("there is no {selector} in {page:?}");
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Presses the mouse where the element is.
    pub(crate) fn click(&mut self, selector: &str) {
        self.wait_for(selector);
        let middle = format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView(); \
             const it = element.getBoundingClientRect(); \
             return [it.x + it.width / 2, it.y + it.height / 2] }})()",
            Value::from(selector)
        );
        let middle = self.evaluate(&middle);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into a field.
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.call("Input.insertText", json!({ "text": text }));
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.wait_for(selector);
        let text = format!("document.querySelector({}).textContent", Value::from(selector));
        self.evaluate(&text).as_str().expect("a text").to_owned()
    }

    /// What a property of an element's style amounts to.
    pub(crate) fn style(&mut self, selector: &str, property: &str) -> Value {
        let (selector, property) = (Value::from(selector), Value::from(property));
        let element = format!("document.querySelector({selector})");
        self.evaluate(&format!("getComputedStyle({element}).getPropertyValue({property})"))
    }

    pub(crate) fn location(&mut self) -> String {
        self.evaluate("location.href").as_str().expect("a text").to_owned()
    }

    /// The application's cookies at this address: whether scripts are kept from them, and from which
    /// sites they are sent. Those of the provider, which is on this host too, begin with `_`.
    pub(crate) fn cookies(&mut self, address: &str) -> Vec<(String, Value)> {
        let mut answer = self.call("Network.getCookies", json!({ "urls": [address] }));
        let Value::Array(cookies) = answer["cookies"].take() else { panic!("{answer}") };
        let named = cookies.into_iter().map(|cookie| {
            let name = cookie["name"].as_str().expect("a name").to_owned();
            (name, json!([cookie["httpOnly"], cookie["sameSite"]]))
        });
        named.filter(|(name, _)| !name.starts_with('_')).collect()
    }

    /// A picture of the page, as PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        STANDARD.decode(answer["data"].as_str().expect("a picture")).expect("base64")
    }

    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.try_evaluate(script).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    fn try_evaluate(&mut self, script: &str) -> Result<Value, Value> {
        let parameters = json!({ "expression": script, "returnByValue": true });
        let answer = self.devtools.call(Some(&self.session), "Runtime.evaluate", parameters)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.clone()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.devtools.call(Some(&self.session), method, parameters);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}
