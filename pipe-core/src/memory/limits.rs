//! What may be added in one call.

use serde_json::Value;

use super::relation::check_name;
use super::{DataPoint, DataPointKind, Relation};
use crate::{Error, ErrorKind, Result};

/// The most data points of one call.
pub const MAX_DATA_POINTS: usize = 10_000;
/// The most relations of one call.
pub const MAX_RELATIONS: usize = 50_000;
/// The largest data point, in bytes of JSON.
pub const MAX_DATA_POINT: usize = 64 << 10;
/// How deep arrays and objects may be in one another, in a property of a [`Custom`](super::Custom)
/// data point: what is much deeper can be written as JSON, and not be read again.
pub const MAX_DEPTH: usize = 64;

/// Whether these may be added in one call.
///
/// # Errors
/// `InvalidArgument` for more than [`MAX_DATA_POINTS`] or [`MAX_RELATIONS`], for a data point of more
/// than [`MAX_DATA_POINT`] bytes, for a property that is deeper than [`MAX_DEPTH`], for a relation whose
/// name [`Relation::new`] would refuse, and for a [`Custom`](super::Custom) data point of a kind that
/// has a type of its own, whose place it would take.
pub fn check_batch(points: &[DataPoint], relations: &[Relation]) -> Result<()> {
    let fault = |message, count: usize, limit: usize| {
        Err(Error::new(ErrorKind::InvalidArgument, message)
            .with("found", count)
            .with("limit", limit))
    };
    if points.len() > MAX_DATA_POINTS {
        return fault("too many data points in one call", points.len(), MAX_DATA_POINTS);
    }
    if relations.len() > MAX_RELATIONS {
        return fault("too many relations in one call", relations.len(), MAX_RELATIONS);
    }
    relations.iter().try_for_each(|relation| check_name(&relation.name))?;
    for point in points {
        if let DataPoint::Custom(custom) = point {
            let fault = |message| {
                Error::new(ErrorKind::InvalidArgument, message)
                    .with("kind", &custom.kind)
                    .with("key", &custom.key)
            };
            if !matches!(custom.kind, DataPointKind::Custom(_)) {
                return Err(fault("the kind is one of our own")
                    .hint("use the type of that name, or another kind"));
            }
            if custom.properties.values().any(|value| is_deeper(value, MAX_DEPTH)) {
                return Err(fault("a property is too deep").with("limit", MAX_DEPTH).hint(
                    "put arrays and objects into one another less often, or the property into text",
                ));
            }
        }
        let size = serde_json::to_string(point).map_or(usize::MAX, |text| text.len());
        if size > MAX_DATA_POINT {
            return fault("a data point is too large", size, MAX_DATA_POINT);
        }
    }
    Ok(())
}

fn is_deeper(value: &Value, limit: usize) -> bool {
    match (value, limit.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(values), Some(limit)) => values.iter().any(|value| is_deeper(value, limit)),
        (Value::Object(values), Some(limit)) => {
            values.values().any(|value| is_deeper(value, limit))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Custom, MemoryKey};

    /// It could be added, and would be in no answer.
    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let kind = DataPointKind::custom("Runbook").unwrap();
        let of = |depth: usize| {
            let deep = (0..depth).fold(Value::from(1), |inner, i| match i % 2 {
                0 => Value::from(vec![inner]),
                _ => serde_json::json!({ "inner": inner }),
            });
            let custom = Custom::new(kind.clone(), MemoryKey::new("a").unwrap());
            DataPoint::from(custom.with_property("deep", deep))
        };
        let deepest = of(MAX_DEPTH);
        check_batch(std::slice::from_ref(&deepest), &[]).unwrap();
        let text = serde_json::to_string(&deepest).unwrap();
        assert_eq!(serde_json::from_str::<DataPoint>(&text).unwrap(), deepest);
        for depth in [MAX_DEPTH + 1, 500] {
            let error = check_batch(&[of(depth)], &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{depth}");
        }
    }

    #[test]
    fn a_custom_data_point_takes_the_place_of_no_other() {
        let of = |kind| DataPoint::from(Custom::new(kind, MemoryKey::new("INT-1").unwrap()));
        let error = check_batch(&[of(DataPointKind::Integration)], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(check_batch(&[of(DataPointKind::custom("Runbook").unwrap())], &[]).is_ok());
    }
}
