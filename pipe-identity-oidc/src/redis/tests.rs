use std::time::Duration;

use pipe_core::identity::{SessionKey, SessionStore as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::AT_ONCE;
use super::{RedisConfig, RedisSessions};

/// How many commands came, and how many of them may be answered.
struct Held {
    came: watch::Receiver<usize>,
    answered: watch::Sender<usize>,
}

impl Held {
    async fn came(&mut self, count: usize) {
        self.came.wait_for(|came| *came == count).await.unwrap();
    }
}

/// A server that knows nothing, and says so when it is let.
async fn server() -> (RedisConfig, Held) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let ((count, came), (answered, may)) = (watch::channel(0), watch::channel(0));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, count, may).await;
    });
    (RedisConfig::new(url), Held { came, answered })
}

async fn serve(stream: TcpStream, count: watch::Sender<usize>, mut may: watch::Receiver<usize>) {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    while lines.next_line().await.unwrap().unwrap() != "PING" {}
    writing.write_all(b"+PONG\r\n").await.unwrap();
    tokio::spawn(async move {
        for answered in 0.. {
            if may.wait_for(|may| *may > answered).await.is_err() {
                return;
            }
            writing.write_all(b"$-1\r\n").await.unwrap();
        }
    });
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "GET" {
            count.send_modify(|count| *count += 1);
        }
    }
}

/// Sets the clock forward by less than the patience with one answer, and by more when it is done twice.
async fn forward() {
    tokio::time::pause();
    tokio::time::advance(PATIENCE.mul_f64(0.6)).await;
    tokio::time::resume();
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever has sent nothing yet waits for others, and not for the server.
#[tokio::test]
async fn a_call_is_given_its_time_from_when_it_is_sent() {
    let (config, mut held) = server().await;
    let config = config.with_timeout(PATIENCE).with_connect_timeout(PATIENCE);
    let store = RedisSessions::new(config).unwrap();
    let mut calls: Vec<_> = (0..=AT_ONCE)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&SessionKey::Session([7; 32])).await })
        })
        .collect();
    held.came(AT_ONCE).await;
    forward().await;
    held.answered.send_replace(AT_ONCE);
    held.came(AT_ONCE + 1).await;
    // They came in their order.
    let last = calls.pop().unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), None);
    }
    forward().await;
    held.answered.send_replace(AT_ONCE + 1);
    assert_eq!(last.await.unwrap().unwrap(), None);
}
