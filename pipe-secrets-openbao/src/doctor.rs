//! Whether all is as a program needs it, and what to do where it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use pipe_core::pod::AclCapability;
use pipe_core::{Error, ErrorKind};
use pipe_http::HttpClient;
use serde::{Deserialize, Serialize};
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use crate::client::Policy;
use crate::engine::body;
use crate::error::{Asked, Fault};
use crate::needs::{Need, Rule};
use crate::plugin::OpenBao;
use crate::transport::{Call, Headers};

/// Beyond this, tokens that carry times begin to be refused.
const CLOCKS_APART: Duration = Duration::from_secs(30);
/// Paths that are asked about in one request.
const PATHS: usize = 100;

/// What [`OpenBao::doctor`] found, in the order in which things depend on each other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The findings.
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do; empty where nothing has to be done.
    pub hint: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// Whether a node can be reached, and how.
    Address,
    /// Whether a node is initialised and unsealed.
    Seal,
    /// Whether its clock and ours agree.
    Clock,
    /// Whether we can log in, and for how long.
    Login,
    /// Whether the namespace is there.
    Namespace,
    /// Which KV engine the mount is of.
    Engine,
    /// Whether the policy grants what is needed.
    Policy,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and should be looked at.
    Doubtful,
    /// It could not be found out.
    Unknown,
    /// It does not work.
    Bad,
}

impl Diagnosis {
    /// Whether nothing keeps the program from its work, as far as could be found out.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Bad)
    }
}

/// A line for each finding, and one for what to do about it.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let verdict = match finding.verdict {
                Verdict::Good => "good    ",
                Verdict::Doubtful => "doubtful",
                Verdict::Unknown => "unknown ",
                Verdict::Bad => "BAD     ",
            };
            let topic = format!("{:?}", finding.topic).to_lowercase();
            writeln!(f, "{verdict} {topic}: {}", finding.message)?;
            if !finding.hint.is_empty() {
                writeln!(f, "         → {}", finding.hint)?;
            }
        }
        Ok(())
    }
}

impl Finding {
    fn good(topic: Topic, message: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::Good, message: message.into(), hint: String::new() }
    }

    fn with(
        topic: Topic,
        verdict: Verdict,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { topic, verdict, message: message.into(), hint: hint.into() }
    }

    fn of(topic: Topic, error: &Error) -> Self {
        // A denial, or what is not there, says nothing about what was looked for.
        let message = match error.context("server") {
            Some(server) => format!("{server}: {}", error.message()),
            None => error.message().to_owned(),
        };
        Self::with(topic, Verdict::Bad, message, error.hint_text())
    }
}

impl OpenBao {
    /// Looks at everything that these needs depend on: each node, seal, clock, login, namespace,
    /// engine and policy. It changes nothing but for a login.
    ///
    /// It takes a few requests, each of which has the deadline of `http.timeout`.
    pub async fn doctor(&self, needs: &[Need]) -> Diagnosis {
        let mut findings = Vec::new();
        let mut serves = false;
        for node in self.client().transport().nodes() {
            serves |= self.look_at_node(node, &mut findings).await;
        }
        let works = serves
            && self.look_at_login(&mut findings).await
            && self.look_at_engine(&mut findings).await;
        if works {
            self.look_at_policy(needs, &mut findings).await;
        }
        Diagnosis { findings }
    }

    /// Tells whether the node serves.
    async fn look_at_node(&self, node: &HttpClient, findings: &mut Vec<Finding>) -> bool {
        #[derive(Deserialize)]
        struct State {
            initialized: bool,
            sealed: bool,
            #[serde(default)]
            standby: bool,
            #[serde(default)]
            version: String,
            server_time_utc: Option<u64>,
        }
        let address = node.address();
        let call = Call::get("sys/health");
        let asked = SystemTime::now();
        let answer = self.client().transport().send_to(node, &call, &Headers::default()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                findings.push(Finding::of(Topic::Address, &error));
                return false;
            }
        };
        let Ok(state) = answer.parse_as::<State>() else {
            let hint = "check the address, and what stands in front of the server";
            let message = format!("{address} does not answer like OpenBao");
            findings.push(Finding::with(Topic::Address, Verdict::Bad, message, hint));
            return false;
        };
        let is_plain = address.to_string().starts_with("http://");
        findings.push(match is_plain {
            false => Finding::good(Topic::Address, format!("{address} answers, over TLS")),
            true => {
                let hint = "that is for this machine alone; anything else needs `https`";
                let message = format!("{address} answers, without TLS");
                Finding::with(Topic::Address, Verdict::Doubtful, message, hint)
            }
        });
        let role = if state.standby { "standby" } else { "active" };
        findings.push(if !state.initialized {
            let message = format!("{address} is not initialised");
            Finding::with(Topic::Seal, Verdict::Bad, message, "run `bao operator init`")
        } else if state.sealed {
            let message = format!("{address} is sealed");
            Finding::with(Topic::Seal, Verdict::Bad, message, "unseal the server")
        } else {
            // Of what a stranger says, only what looks like a version.
            let version: String =
                state.version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            let version = version.get(..version.len().min(32)).unwrap_or_default();
            Finding::good(Topic::Seal, format!("{address} is unsealed, {role}, version {version}"))
        });
        if let Some(theirs) = state.server_time_utc {
            findings.push(clock(address, asked, theirs));
        }
        state.initialized && !state.sealed
    }

    async fn look_at_login(&self, findings: &mut Vec<Finding>) -> bool {
        #[derive(Deserialize)]
        struct Token {
            #[serde(default)]
            ttl: u64,
            #[serde(default)]
            renewable: bool,
            #[serde(default)]
            num_uses: u64,
            #[serde(default)]
            policies: Vec<String>,
        }
        let client = self.client();
        let who = client.identity();
        // Whatever is answered, it is answered to somebody who is logged in.
        let answer = match client.is_inline() {
            true => {
                let call = Call::get("sys/internal/ui/resultant-acl");
                client.send(None, Policy::Accept, || call.clone()).await
            }
            false => client.send(None, Policy::Accept, || LookupTokenSelfRequest {}).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                findings.push(Finding::of(Topic::Login, &error));
                return false;
            }
        };
        let fault = answer.0.error_kind().map(|_| Fault::of(&answer.0, Asked::Work));
        let token = answer.parse::<Token>().ok().and_then(|told| told.data);
        findings.push(match (fault, token) {
            (Some(Fault::Denied), _) => {
                Finding::good(Topic::Login, format!("logged in as {who}; how long is not shown"))
            }
            (Some(fault), _) => {
                findings.push(Finding::of(Topic::Login, &fault.error(&answer.0)));
                return false;
            }
            (None, Some(token)) if token.policies.iter().any(|policy| policy == "root") => {
                let message = format!("logged in as {who}, which may do everything");
                let hint = "use a login whose policy grants what the program needs, and no more";
                Finding::with(Topic::Login, Verdict::Doubtful, message, hint)
            }
            (None, Some(token)) if token.num_uses > 0 => {
                let message = format!("logged in as {who}, for {} more requests", token.num_uses);
                let hint = "set the role's `token_num_uses` to 0";
                Finding::with(Topic::Login, Verdict::Doubtful, message, hint)
            }
            (None, Some(token)) => {
                let life = match token.ttl {
                    0 => "for ever".to_owned(),
                    seconds => {
                        format!("for {}", humantime::format_duration(Duration::from_secs(seconds)))
                    }
                };
                let renewable = if token.renewable { ", renewable" } else { "" };
                Finding::good(Topic::Login, format!("logged in as {who}, {life}{renewable}"))
            }
            (None, None) => Finding::good(Topic::Login, format!("logged in as {who}")),
        });
        true
    }

    async fn look_at_engine(&self, findings: &mut Vec<Finding>) -> bool {
        let client = self.client();
        let namespace = client.namespace().map_or("the root namespace".to_owned(), |namespace| {
            format!("namespace `{namespace}`")
        });
        let call = Call::get(format!("sys/internal/ui/mounts/{}", self.kv().mount));
        let answer = client.send(None, Policy::Accept, || call.clone()).await;
        let fault = answer.map(|answer| {
            answer.0.error_kind().map(|_| (Fault::of(&answer.0, Asked::Work), answer))
        });
        match fault {
            Ok(None) => {
                findings.push(Finding::good(Topic::Namespace, format!("{namespace} is there")))
            }
            Ok(Some((Fault::NamespaceMissing, answer))) => {
                let error = Fault::NamespaceMissing.error(&answer.0);
                findings.push(Finding::of(Topic::Namespace, &error));
                return false;
            }
            // The policy hides the mount, or the request logged itself in.
            Ok(Some(_)) => {
                let message = format!("what is mounted in {namespace} is not shown");
                let hint = "check `namespace` and `mount`, and grant something below the mount";
                findings.push(Finding::with(Topic::Engine, Verdict::Unknown, message, hint));
                return true;
            }
            Err(error) => {
                findings.push(Finding::of(Topic::Engine, &error));
                return false;
            }
        }
        match self.kv().found(client).await {
            Ok(version) => {
                let message = format!("`{}` is a KV engine of version {version}", self.kv().mount);
                findings.push(Finding::good(Topic::Engine, message));
                true
            }
            Err(error) => {
                findings.push(Finding::of(Topic::Engine, &error));
                false
            }
        }
    }

    async fn look_at_policy(&self, needs: &[Need], findings: &mut Vec<Finding>) {
        if self.client().is_inline() {
            if !needs.is_empty() {
                let message =
                    "what the policy grants is not told to requests that log in by themselves";
                let hint = "run the doctor once without `inline_auth`";
                findings.push(Finding::with(Topic::Policy, Verdict::Unknown, message, hint));
            }
            return;
        }
        let mut rules = Vec::with_capacity(needs.len());
        for need in needs {
            match self.rules(need) {
                Ok(all) => rules.extend(all),
                Err(error) => findings.push(Finding::of(Topic::Policy, &error)),
            }
        }
        for rules in rules.chunks(PATHS) {
            match self.granted(rules).await {
                Ok(granted) => {
                    findings.extend(rules.iter().map(|rule| self.judge(rule, &granted)));
                }
                Err(error) => findings.push(Finding::of(Topic::Policy, &error)),
            }
        }
    }

    /// What our policies grant at each path.
    async fn granted(&self, rules: &[Rule]) -> pipe_core::Result<BTreeMap<String, Vec<String>>> {
        #[derive(Serialize)]
        struct Paths {
            paths: Vec<String>,
        }
        let client = self.client();
        let paths = rules.iter().map(|rule| client.policy_path(&rule.path)).collect();
        let paths = Paths { paths };
        let call = Call::post("sys/capabilities-self", body(&paths)?);
        let answer = client.send_at_home(|| call.clone()).await?;
        if answer.0.error_kind().is_some() {
            let fault = Fault::of(&answer.0, Asked::Work);
            let error = fault.error(&answer.0);
            return Err(match fault {
                Fault::Denied => error.hint(
                    "grant `update` on \"sys/capabilities-self\", as the policy `default` does",
                ),
                _ => error,
            });
        }
        answer.parse::<BTreeMap<String, Vec<String>>>()?.data.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the answer holds no capabilities")
                .hint("check the address, and what stands in front of the server")
        })
    }

    fn judge(&self, rule: &Rule, granted: &BTreeMap<String, Vec<String>>) -> Finding {
        let path = &rule.path;
        let has =
            granted.get(&self.client().policy_path(path)).map(Vec::as_slice).unwrap_or_default();
        let grants = |capability: &AclCapability| {
            has.iter().any(|has| has == "root" || has == capability.name())
        };
        let missing: Vec<_> =
            rule.capabilities.iter().filter(|one| !grants(one)).map(|one| one.name()).collect();
        let wanted: Vec<_> = rule.capabilities.iter().map(|one| one.name()).collect();
        if missing.is_empty() {
            return Finding::good(
                Topic::Policy,
                format!("`{}` on \"{path}\" is granted", wanted.join("`, `")),
            );
        }
        let missing = missing.join("`, `");
        let hint = format!(
            "grant `{missing}` on \"{}\" in a policy of {}",
            self.client().policy_path(path),
            self.client().identity()
        );
        let message = format!("`{missing}` on \"{path}\" is not granted");
        // Where the detailed list is denied, the plain one is tried, and each secret looked at.
        let verdict = match path.contains("/detailed-metadata/") {
            true => Verdict::Doubtful,
            false => Verdict::Bad,
        };
        Finding::with(Topic::Policy, verdict, message, hint)
    }
}

fn clock(address: &impl fmt::Display, ours: SystemTime, theirs: u64) -> Finding {
    let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(theirs);
    let (apart, whose) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    // The server tells whole seconds.
    let seconds = apart.as_secs();
    if apart <= CLOCKS_APART {
        return Finding::good(Topic::Clock, format!("the clock of {address} agrees with ours"));
    }
    let message = format!("the clock of {address} is {seconds} seconds {whose} ours");
    let hint = "set both clocks by NTP: tokens that carry times are refused otherwise";
    Finding::with(Topic::Clock, Verdict::Bad, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (theirs, verdict, text) in [
            (1_000_000, Verdict::Good, "agrees"),
            (1_000_029, Verdict::Good, "agrees"),
            (1_000_060, Verdict::Bad, "60 seconds ahead of ours"),
            (999_900, Verdict::Bad, "100 seconds behind ours"),
        ] {
            let finding = clock(&"node", now, theirs);
            assert_eq!(finding.verdict, verdict, "{theirs}");
            assert!(finding.message.contains(text), "{}", finding.message);
            assert_eq!(finding.hint.is_empty(), verdict == Verdict::Good);
        }
    }
}
