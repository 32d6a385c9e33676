use super::*;

fn lane() -> Arc<Lane> {
    Lane::new(Pace {
        rest: Duration::from_secs(30),
        backoff: (Duration::from_secs(1), Duration::from_secs(60)),
        patience: Duration::from_secs(5),
    })
}

fn fails() -> Work {
    async { Err(Error::new(ErrorKind::Unavailable, "x")) }.boxed()
}

#[test]
fn a_pause_is_shorter_than_said_and_never_longer() {
    let lane = lane();
    for (failed, longest) in [(0, 1), (1, 2), (5, 32), (6, 60), (31, 60), (u32::MAX, 60)] {
        let longest = Duration::from_secs(longest);
        for _ in 0..100 {
            let pause = lane.pause(failed, None);
            assert!(pause <= longest && pause >= longest.mul_f64(0.8), "{failed}: {pause:?}");
        }
    }
    let day = Some(Duration::from_secs(86_400));
    assert_eq!(lane.pause(0, day), Duration::from_secs(60));
    assert!(lane.pause(6, Some(Duration::ZERO)) >= Duration::from_secs(48));
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_row_of_failures() {
    let lane = lane();
    for work in [fails as fn() -> Work, fails, || async { Ok(()) }.boxed(), fails] {
        let Turn::Wait(flight) = lane.join(work) else { panic!() };
        drop(lane.wait(flight).await);
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    assert_eq!((lane.counts().attempts, lane.counts().failures), (4, 3));
    assert_eq!(lane.state().failed_in_a_row, 1);
}

/// An attempt that belongs to a runtime that is gone is over.
#[test]
fn an_attempt_that_ends_with_its_runtime_is_a_failure() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let lane = lane();
    let first = runtime();
    let pending = || std::future::pending().boxed();
    let turn = first.block_on(async { lane.join(pending) });
    let Turn::Wait(flight) = turn else { panic!() };
    drop(first);
    runtime().block_on(async {
        assert!(lane.wait(flight).await.is_err());
        assert!(matches!(lane.join(fails), Turn::Failing(_)));
    });
}
