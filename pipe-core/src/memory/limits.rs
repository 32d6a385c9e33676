//! What may be added in one call.

use super::{DataPoint, DataPointKind, Relation};
use crate::{Error, ErrorKind, Result};

/// The most data points of one call.
pub const MAX_DATA_POINTS: usize = 10_000;
/// The most relations of one call.
pub const MAX_RELATIONS: usize = 50_000;
/// The largest data point, in bytes of JSON.
pub const MAX_DATA_POINT: usize = 64 << 10;

/// Whether these may be added in one call.
///
/// # Errors
/// `InvalidArgument` for more than [`MAX_DATA_POINTS`] or [`MAX_RELATIONS`], for a data point of more
/// than [`MAX_DATA_POINT`] bytes, and for a [`Custom`](super::Custom) one of a kind that has a type of
/// its own, whose place it would take.
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
    for point in points {
        if let DataPoint::Custom(custom) = point
            && !matches!(custom.kind, DataPointKind::Custom(_))
        {
            return Err(Error::new(ErrorKind::InvalidArgument, "the kind is one of our own")
                .with("kind", &custom.kind)
                .with("key", &custom.key)
                .hint("use the type of that name, or another kind"));
        }
        let size = serde_json::to_string(point).map_or(usize::MAX, |text| text.len());
        if size > MAX_DATA_POINT {
            return fault("a data point is too large", size, MAX_DATA_POINT);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Custom, MemoryKey};

    #[test]
    fn a_custom_data_point_takes_the_place_of_no_other() {
        let of = |kind| DataPoint::from(Custom::new(kind, MemoryKey::new("INT-1").unwrap()));
        let error = check_batch(&[of(DataPointKind::Integration)], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(check_batch(&[of(DataPointKind::custom("Runbook").unwrap())], &[]).is_ok());
    }
}
