//! Time that passes as quickly as a suite wants.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// In seconds; a plugin gives up long before, also when it tries several times.
const LONGEST_WAIT: u32 = 120;

/// Time passes for all that tokio measures.
pub(crate) async fn skip(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

/// What a future gives, while time passes quickly: whoever waits for a deadline gets there.
pub(crate) async fn hurried<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..LONGEST_WAIT {
        // A moment of real time, in which connections make what progress they can.
        let moment = tokio::time::sleep(Duration::from_millis(1));
        let mut moment = std::pin::pin!(moment);
        let done = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => moment.as_mut().poll(context).map(|()| None),
        });
        if let Some(value) = done.await {
            return value;
        }
        skip(Duration::from_secs(1)).await;
    }
    panic!("it still waits after {LONGEST_WAIT} seconds")
}
