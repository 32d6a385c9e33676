//! What all decorators together add to a call.

use std::time::Duration;

use pipe_core::SecretsPlugin;
use pipe_testkit::wrapped::stack;

use super::names;
use crate::sample::{Plan, side_by_side};
use crate::{Amount, Fault, Instant, Limit, Measured, Report};

const PROMISE: Duration = Duration::from_micros(3);

pub(crate) async fn measure(report: &mut Report) {
    report.measure("added by all decorators to a miss / 3 µs", Limit::AtMost(1.0), miss).await;
}

/// Every call is for another secret, so that each goes through every layer, to the store and back
/// into the cache, which is full and has to evict. Audit and metrics are on, without a recipient.
async fn miss() -> Result<Measured, Fault> {
    let plan = Plan::DISTINCT;
    let names = names(plan.calls_of_each_side())?;
    let store = Instant::new(64);
    let (wrapped, bare) = (stack(store.clone()), Instant::new(64));
    let (mut ours, mut baseline) = (names.iter(), names.iter());
    let read_ours = async || {
        let name = ours.next().ok_or_else(|| Fault::new("there are not enough names"))?;
        wrapped.get_secret(name).await?;
        Ok(())
    };
    let read_bare = async || {
        let name = baseline.next().ok_or_else(|| Fault::new("there are not enough names"))?;
        bare.get_secret(name).await?;
        Ok(())
    };
    let measured = side_by_side(plan, read_ours, read_bare).await?;
    if store.reads() != names.len() as u64 {
        return Err(Fault::new("not every call was a miss"));
    }
    let (Amount::Time(with), Amount::Time(without)) = (measured.ours, measured.baseline) else {
        return Err(Fault::new("the sampler measures times"));
    };
    let added = with.saturating_sub(without);
    Ok(Measured::new(Amount::Time(added), Amount::Time(PROMISE)))
}
