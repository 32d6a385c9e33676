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
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer to one request.
    fn answer(&self, call: &Call) -> Answer;
}

/// One request, read whole.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As sent: percent-encoded, without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// `None` when it was larger than [`MAX_BODY`].
    pub(crate) body: Option<Bytes>,
}

impl Call {
    /// A header's value, when it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is answered.
    Response(Response<Payload>),
    /// The connection stays open and silent.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// It is answered after this time.
    #[cfg(feature = "issuer")]
    Later(std::time::Duration, Box<Self>),
    /// It is answered when the sender of this goes away.
    #[cfg(feature = "issuer")]
    When(tokio::sync::oneshot::Receiver<()>, Box<Self>),
}

/// A body that can be long without being held, and can break off.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    head: Option<Bytes>,
    filler: usize,
    tail: Option<Bytes>,
    breaks_off: bool,
    /// What comes while the body is read. An error breaks the connection off.
    live: Option<mpsc::Receiver<io::Result<Bytes>>>,
    #[cfg(feature = "issuer")]
    refrain: Option<Box<Refrain>>,
}

/// What is sent over and over.
#[cfg(feature = "issuer")]
#[derive(Debug)]
struct Refrain {
    text: Bytes,
    /// `None`: for ever.
    times: Option<usize>,
    /// How long to wait before each time, and whether that has begun.
    pause: Option<(std::time::Duration, Option<Pin<Box<tokio::time::Sleep>>>)>,
}

/// The largest body that is read: OpenBao's default limit.
pub(crate) const MAX_BODY: usize = 32 << 20;

const FILLER: Bytes = Bytes::from_static(&[b'x'; 16 << 10]);

impl Payload {
    /// These bytes.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        Self { head: Some(bytes.into()), ..Self::default() }
    }

    /// `head`, that many `x`, then `tail`.
    pub(crate) fn padded(head: &'static str, filler: usize, tail: &'static str) -> Self {
        Self { head: Some(head.into()), filler, tail: Some(tail.into()), ..Self::default() }
    }

    /// These bytes, announced as the beginning of more that never comes.
    pub(crate) fn broken(head: impl Into<Bytes>) -> Self {
        Self { breaks_off: true, ..Self::of(head) }
    }

    /// What comes through the channel, until it is closed.
    pub(super) fn live(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { live: Some(pieces), ..Self::default() }
    }
}

#[cfg(feature = "issuer")]
impl Payload {
    /// `head`, `text` until that many bytes were sent, then `tail`.
    pub(crate) fn repeated(
        head: &'static str,
        text: &'static str,
        bytes: usize,
        tail: &'static str,
    ) -> Self {
        // Not too small pieces: each costs a turn of the connection.
        let many = text.repeat((16 << 10) / text.len());
        let times = Some(bytes / many.len() + 1);
        let refrain = Refrain { text: many.into(), times, pause: None };
        Self { tail: Some(tail.into()), refrain: Some(Box::new(refrain)), ..Self::of(head) }
    }

    /// `head`, then `text` for ever.
    pub(crate) fn endless(head: &'static str, text: &'static str) -> Self {
        let refrain = Refrain { text: text.repeat(1 << 10).into(), times: None, pause: None };
        Self { refrain: Some(Box::new(refrain)), ..Self::of(head) }
    }

    /// `head`, then `text` for ever, after a pause each time.
    pub(crate) fn trickle(
        head: &'static str,
        text: &'static str,
        pause: std::time::Duration,
    ) -> Self {
        let refrain = Refrain { text: text.into(), times: None, pause: Some((pause, None)) };
        Self { refrain: Some(Box::new(refrain)), ..Self::of(head) }
    }

    fn poll_refrain(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(refrain) = &mut self.refrain else { return Poll::Ready(None) };
        if let Some((pause, sleep)) = &mut refrain.pause {
            let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*pause)));
            std::task::ready!(sleep.as_mut().poll(context));
            refrain.pause = Some((*pause, None));
        }
        let text = refrain.text.clone();
        match &mut refrain.times {
            Some(0) => return Poll::Ready(None),
            Some(times) => *times -= 1,
            None => {}
        }
        Poll::Ready(Some(text))
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
        #[cfg(feature = "issuer")]
        if self.head.is_none()
            && let Some(text) = std::task::ready!(self.poll_refrain(context))
        {
            return Poll::Ready(Some(Ok(Frame::data(text))));
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
        #[cfg(feature = "issuer")]
        if self.refrain.is_some() {
            return SizeHint::default();
        }
        let ends = [&self.head, &self.tail].into_iter().flatten();
        let left = ends.map(Bytes::len).sum::<usize>() + self.filler;
        SizeHint::with_exact((left + usize::from(self.breaks_off)) as u64)
    }
}

/// An answer with a body of this type.
pub(crate) fn response(status: StatusCode, content_type: &str, body: Payload) -> Answer {
    let built =
        Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(body);
    Answer::Response(built.expect("the content type is one of ours"))
}

/// A server on the loopback interface. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on a port of 127.0.0.1; 0 picks a free one.
    pub(crate) async fn start(port: u16, handler: Arc<impl Handler>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .expect("a port of the loopback interface can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        Self { address, accepting: tokio::spawn(accept(listener, handler)) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub(crate) async fn stop(&mut self) {
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
                    deliver(handler.answer(&call)).await
                }
            }),
        )
        .await;
}

async fn deliver(answer: Answer) -> io::Result<Response<Payload>> {
    match answer {
        Answer::Response(response) => Ok(response),
        Answer::Close => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        Answer::Hang => std::future::pending().await,
        #[cfg(feature = "issuer")]
        Answer::Later(delay, answer) => {
            tokio::time::sleep(delay).await;
            Box::pin(deliver(*answer)).await
        }
        #[cfg(feature = "issuer")]
        Answer::When(released, answer) => {
            let _ = released.await;
            Box::pin(deliver(*answer)).await
        }
    }
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
