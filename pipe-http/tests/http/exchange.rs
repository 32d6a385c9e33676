use pipe_core::{ErrorKind, TraceContext};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::peer::{
    client, drain, get, hasty, listen, read_request, reply, serve, small, was_left_alone,
};

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let (address, peer) = reply("HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi").await;
    let prefixed: ServerAddress = format!("{address}/bao").parse().unwrap();
    let client = client(&prefixed);
    let request = http::Request::post(prefixed.join("v1/x?a=b").unwrap())
        .header("x-vault-token", "t0ken")
        .body(b"{\"a\":1}".to_vec())
        .unwrap();
    let response = client.send(request).await.unwrap();
    drop(client);
    let request = peer.await.unwrap();
    assert_eq!((response.status, &**response.body), (200, &b"hi"[..]));
    assert_eq!(response.headers["x-a"], "b");
    assert!(request.starts_with("POST /bao/v1/x?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nx-vault-token: t0ken\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: pipe/"), "{request}");
    assert!(!request.contains("referer"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

#[tokio::test]
async fn a_request_by_segments_arrives_below_the_address() {
    let (address, peer) = reply("HTTP/1.1 204 No Content\r\n\r\n").await;
    let prefixed: ServerAddress = format!("{address}/bao").parse().unwrap();
    let client = client(&prefixed);
    let mut request = client.request(http::Method::POST, ["v1", "a b"]).unwrap();
    request.headers_mut().insert("x-vault-token", "t0ken".parse().unwrap());
    request.set_query("a=b");
    request.set_body(b"{}".to_vec().into());
    assert_eq!(request.send().await.unwrap().status, 204);
    drop(client);
    let request = peer.await.unwrap();
    assert!(request.starts_with("POST /bao/v1/a%20b?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nx-vault-token: t0ken\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
}

/// Sends a request with these headers; returns what arrives, header by header.
async fn arriving(headers: &[(&'static str, &str)]) -> Vec<String> {
    let (address, peer) = reply("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut request = get(&address);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    client(&address).send(request).await.unwrap();
    peer.await.unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_trace_of_the_task_goes_along_in_a_span_of_its_own() {
    let trace = TraceContext::new().with_state("a=1,b=2");
    let request = trace.clone().scope(arriving(&[])).await;
    let parent = request.iter().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    let parent: TraceContext = parent.parse().unwrap();
    assert_eq!(parent.trace_id(), trace.trace_id());
    assert_ne!(parent.span_id(), trace.span_id());
    assert!(request.contains(&"tracestate: a=1,b=2".to_owned()), "{request:?}");
}

#[tokio::test]
async fn a_trace_that_the_caller_passes_on_himself_is_left_as_it_is() {
    let theirs = TraceContext::new().to_string();
    let ours = TraceContext::new().with_state("a=1");
    let request = ours.scope(arriving(&[("traceparent", &theirs)])).await;
    let trace: Vec<_> = request.iter().filter(|line| line.starts_with("trace")).collect();
    assert_eq!(trace, [&format!("traceparent: {theirs}")]);
}

#[tokio::test]
async fn outside_of_a_trace_none_is_begun() {
    let request = arriving(&[]).await;
    assert!(!request.iter().any(|line| line.starts_with("trace")), "{request:?}");
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let (address, _peer) = reply("HTTP/1.1 503 No\r\ncontent-length: 6\r\n\r\nsealed").await;
    let response = client(&address).send(get(&address)).await.unwrap();
    assert_eq!(&**response.body, b"sealed");
    assert_eq!(response.error_kind(), Some(ErrorKind::Unavailable));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_other_host_gets_no_token() {
    let (listener, elsewhere) = listen().await;
    let answer = format!(
        "HTTP/1.1 307 Elsewhere\r\nlocation: {elsewhere}/v1/x\r\ncontent-length: 0\r\n\r\n"
    );
    let (address, _peer) = reply(answer).await;
    let mut request = get(&address);
    request.headers_mut().insert("x-vault-token", "t0ken".parse().unwrap());
    let response = client(&address).send(request).await.unwrap();
    assert_eq!(response.status, 307);
    assert!(was_left_alone(listener));
}

#[tokio::test]
async fn localhost_is_this_machine() {
    let (address, _peer) = reply("HTTP/1.1 204 No Content\r\n\r\n").await;
    let by_name = address.as_str().replace("127.0.0.1", "localhost");
    let by_name: ServerAddress = by_name.parse().unwrap();
    let response = client(&by_name).send(get(&by_name)).await.unwrap();
    assert_eq!(response.status, 204);
}

#[tokio::test]
async fn a_body_as_long_as_the_cap_is_accepted() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
    ] {
        let (address, _peer) = reply(answer).await;
        let response = small(&address, 10).send(get(&address)).await.unwrap();
        assert_eq!(&**response.body, b"0123456789");
    }
}

#[tokio::test]
async fn a_body_announced_longer_than_the_cap_is_refused_before_it_comes() {
    // No body ever follows: only the announcement can be what is refused.
    let (address, _peer) = reply("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n").await;
    let error = small(&address, 10).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert_eq!(error.context("max_body"), Some("10"));
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let (address, peer) = serve(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"5\r\n01234\r\n").await.is_ok() {}
    })
    .await;
    let client = small(&address, 1000);
    let error = client.send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert_eq!(error.context("max_body"), Some("1000"));
    // The connection was given up, or this would not end.
    peer.await.unwrap();
}

#[tokio::test]
async fn an_answer_without_a_body_may_announce_any_length() {
    let (address, _peer) = reply("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n").await;
    let mut request = get(&address);
    *request.method_mut() = http::Method::HEAD;
    let response = small(&address, 10).send(request).await.unwrap();
    assert!(response.body.is_empty());
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let (address, _peer) = reply("").await;
    let error = hasty(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.context("server"), Some(address.as_str()));
}

#[tokio::test]
async fn a_body_that_trickles_is_a_timeout() {
    let (address, peer) = serve(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let error = hasty(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    peer.await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_is_worth_a_retry() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = client(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("cause"), Some("connection refused"));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_unavailable() {
    let (address, _peer) = serve(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let part = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart";
        stream.write_all(part).await.unwrap();
    })
    .await;
    let error = client(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_reset_connection_is_unavailable() {
    let (address, _peer) = serve(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let part = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart";
        stream.write_all(part).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = client(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_connection_that_closes_is_not_tried_again() {
    let (listener, address) = listen().await;
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        drop(stream);
        listener
    });
    let error = client(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(was_left_alone(peer.await.unwrap()));
}

#[tokio::test]
async fn a_server_of_another_protocol_is_unexpected() {
    let (address, _peer) = reply("SSH-2.0-OpenSSH_9.9\r\n").await;
    let error = client(&address).send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
}

#[tokio::test]
async fn a_dropped_exchange_gives_its_connection_up() {
    let (arrived, arrival) = tokio::sync::oneshot::channel();
    let (address, peer) = serve(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        arrived.send(()).unwrap();
        drain(&mut stream).await;
    })
    .await;
    let client = HttpClient::new(&HttpConfig::new(), &address).unwrap();
    let request = get(&address);
    let exchange = tokio::spawn({
        let client = client.clone();
        async move { client.send(request).await.map(drop) }
    });
    arrival.await.unwrap();
    exchange.abort();
    peer.await.unwrap();
}

/// The head is there before the body, and each piece before the next.
#[tokio::test]
async fn a_stream_is_read_while_it_comes() {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
    let (go, mut wait) = tokio::sync::mpsc::channel::<()>(1);
    let (address, peer) = serve(async move |mut stream: TcpStream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        for piece in [b"3\r\none\r\n", b"3\r\ntwo\r\n"] {
            wait.recv().await.unwrap();
            stream.write_all(piece).await.unwrap();
        }
        wait.recv().await.unwrap();
    })
    .await;
    let mut stream = client(&address).stream(get(&address)).await.unwrap();
    assert_eq!(stream.status(), 200);
    for expected in ["one", "two"] {
        go.send(()).await.unwrap();
        assert_eq!(stream.next(LIMIT).await.unwrap().unwrap(), expected);
    }
    go.send(()).await.unwrap();
    let error = stream.next(LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    peer.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_silent_is_not_waited_for_without_end() {
    let (address, _peer) = reply("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    let mut stream = client(&address).stream(get(&address)).await.unwrap();
    let error = stream.next(std::time::Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
}

#[tokio::test]
async fn a_stream_that_is_none_is_read_whole() {
    let (address, _peer) = reply("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let stream = client(&address).stream(get(&address)).await.unwrap();
    let answer = stream.whole().await.unwrap();
    assert_eq!((answer.status, &**answer.body), (403, &b"no"[..]));
}
