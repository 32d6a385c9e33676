//! What may be added in one call.

use super::{DataPoint, Relation};
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
/// `InvalidArgument` for more than [`MAX_DATA_POINTS`] or [`MAX_RELATIONS`], and for a data point of
/// more than [`MAX_DATA_POINT`] bytes.
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
        let size = serde_json::to_string(point).map_or(usize::MAX, |text| text.len());
        if size > MAX_DATA_POINT {
            return fault("a data point is too large", size, MAX_DATA_POINT);
        }
    }
    Ok(())
}
