//! The small HTTP/1.1 server that the stand-ins answer with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header, http};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// What decides on the answers of a [`Server`].
pub(super) trait Handler: Send + Sync + 'static {
    /// The answer to one request.
    fn answer(&self, call: &Call) -> Answer;
}

/// One request, read whole.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// As sent: percent-encoded, without the query.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    /// `None` when it was larger than [`MAX_BODY`].
    pub(super) body: Option<Bytes>,
}

impl Call {
    /// A header's value, when it is there and text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What happens to a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is answered.
    Response(Response<Payload>),
    /// The connection stays open and silent.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

/// A body that can be long without being held, and can break off.
#[derive(Debug, Default)]
pub(super) struct Payload {
    head: Option<Bytes>,
    filler: usize,
    tail: Option<Bytes>,
    breaks_off: bool,
    /// What comes while the body is read. An error breaks the connection off.
    live: Option<mpsc::Receiver<io::Result<Bytes>>>,
}

/// The largest body that is read: OpenBao's default limit.
pub(super) const MAX_BODY: usize = 32 << 20;

const FILLER: Bytes = Bytes::from_static(&[b'x'; 16 << 10]);

impl Payload {
    /// These bytes.
    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        Self { head: Some(bytes.into()), ..Self::default() }
    }

    /// `head`, that many `x`, then `tail`.
    pub(super) fn padded(head: &'static str, filler: usize, tail: &'static str) -> Self {
        Self { head: Some(head.into()), filler, tail: Some(tail.into()), ..Self::default() }
    }

    /// These bytes, announced as the beginning of more that never comes.
    pub(super) fn broken(head: impl Into<Bytes>) -> Self {
        Self { breaks_off: true, ..Self::of(head) }
    }

    /// What comes through the channel, until it is closed.
    pub(super) fn live(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { live: Some(pieces), ..Self::default() }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(live) = &mut self.live {
            return live.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)));
        }
        let next = if let Some(head) = self.head.take() {
            head
        } else if self.filler > 0 {
            let filler = FILLER.slice(..self.filler.min(FILLER.len()));
            self.filler -= filler.len();
            filler
        } else if let Some(tail) = self.tail.take() {
            tail
        } else if self.breaks_off {
            self.breaks_off = false;
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.live.is_some() {
            return SizeHint::default();
        }
        let ends = [&self.head, &self.tail].into_iter().flatten();
        let left = ends.map(Bytes::len).sum::<usize>() + self.filler;
        SizeHint::with_exact((left + usize::from(self.breaks_off)) as u64)
    }
}

/// An answer with a body of this type.
pub(super) fn response(status: StatusCode, content_type: &str, body: Payload) -> Answer {
    let built =
        Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(body);
    Answer::Response(built.expect("the content type is one of ours"))
}

/// A server on the loopback interface. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on a port of 127.0.0.1; 0 picks a free one.
    pub(super) async fn start(port: u16, handler: Arc<impl Handler>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .expect("a port of the loopback interface can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        Self { address, accepting: tokio::spawn(accept(listener, handler)) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub(super) async fn stop(&mut self) {
        self.accepting.abort();
        // The task was cancelled by the line above: that is all it can say.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, handler: Arc<impl Handler>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&handler)));
        }
    }
}

async fn serve(stream: TcpStream, handler: Arc<impl Handler>) {
    // Errors here are the client's going away, or a fault that a test asked for.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let handler = Arc::clone(&handler);
                async move {
                    let call = read(request).await;
                    match handler.answer(&call) {
                        Answer::Response(response) => Ok(response),
                        Answer::Close => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                        Answer::Hang => std::future::pending().await,
                    }
                }
            }),
        )
        .await;
}

async fn read(request: Request<Incoming>) -> Call {
    let (http::request::Parts { method, uri, headers, .. }, body) = request.into_parts();
    Call {
        method,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(_) => None,
        },
    }
}
