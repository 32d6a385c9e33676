//! What it costs to give a pod its secrets.

use std::hint::black_box;
use std::time::Duration;

use pipe_core::SecretRef;
use pipe_core::pod::{EnvInjection, PodFragment, SecretMount};
use serde_json::{Value, json};

use super::names;
use crate::sample::{Plan, alone};
use crate::{Amount, Fault, Limit, Measured, Report};

const SECRETS: usize = 50;
const PROMISE: Duration = Duration::from_micros(200);

pub(crate) async fn measure(report: &mut Report) {
    let name = "50 secrets as variables, into a Job / 200 µs";
    report.measure(name, Limit::AtMost(1.0), async || of(variables).await).await;
    let name = "50 secrets as files, into a Job / 200 µs";
    report.measure(name, Limit::AtMost(1.0), async || of(files).await).await;
}

/// Generated anew and merged into a manifest each time.
async fn of(
    fragment: fn(&[SecretRef]) -> pipe_core::Result<PodFragment>,
) -> Result<Measured, Fault> {
    let secrets = names(SECRETS)?;
    let empty = job();
    let took = alone(Plan::EACH_CALL, async || {
        let mut job = empty.clone();
        fragment(&secrets)?.apply_to(&mut job, "bot")?;
        black_box(job);
        Ok(())
    });
    Ok(Measured::new(Amount::Time(took.await?), Amount::Time(PROMISE)))
}

fn variables(secrets: &[SecretRef]) -> pipe_core::Result<PodFragment> {
    let injection = EnvInjection::new();
    let injection = secrets.iter().enumerate().fold(injection, |injection, (number, secret)| {
        injection.with_env(format!("SECRET_{number}"), secret.clone(), "password")
    });
    injection.fragment()
}

fn files(secrets: &[SecretRef]) -> pipe_core::Result<PodFragment> {
    let mounts = secrets.iter().map(|secret| SecretMount::volume(secret.clone()).fragment());
    PodFragment::merge_all(mounts.collect::<pipe_core::Result<Vec<_>>>()?)
}

fn job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bot"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "bot", "image": "registry.example/bot:1",
                "env": [{"name": "RUST_LOG", "value": "info"}],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }}},
    })
}
