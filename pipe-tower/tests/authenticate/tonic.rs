//! With tonic, over a real socket: what a gRPC client makes of the plain HTTP answers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use pipe_core::{ErrorKind, IdentityPlugin, SecurityContext};
use pipe_testkit::reference::InMemoryIdentity;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tower::service_fn;

use crate::{Scripted, layer, role, token};

/// Messages that are text, so that no compiler of protocols is needed.
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Status::internal("not text"))
    }
}

async fn who_am_i(request: Request<String>) -> Result<Response<String>, Status> {
    let caller = request.extensions().get::<Arc<SecurityContext>>();
    assert_eq!(SecurityContext::current().as_ref(), caller);
    let caller = caller.ok_or_else(|| Status::internal("nobody"))?;
    Ok(Response::new(caller.principal.id.to_string()))
}

/// Asks a server behind the layer who we are, with this token.
async fn ask(layer: pipe_tower::AuthenticateLayer, token: Option<&str>) -> Result<String, Status> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = incoming.local_addr().unwrap();
    let service = service_fn(async |request: http::Request<Body>| {
        let mut grpc = tonic::server::Grpc::new(Text);
        Ok::<_, Infallible>(grpc.unary(service_fn(who_am_i), request).await)
    });
    let server = Server::builder().layer(layer).serve_with_incoming(service, incoming);
    let server = tokio::spawn(server);

    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
    let mut client = tonic::client::Grpc::new(channel.unwrap());
    client.ready().await.unwrap();
    let mut request = Request::new("who am I?".to_owned());
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    let path = PathAndQuery::from_static("/test.Callers/WhoAmI");
    let answer = client.unary(request, path, Text).await;
    server.abort();
    answer.map(Response::into_inner)
}

async fn code(identity: impl IdentityPlugin, token: Option<&str>) -> Code {
    ask(layer(identity), token).await.expect_err("nobody may come in").code()
}

#[tokio::test]
async fn a_method_knows_its_caller() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    assert_eq!(ask(layer(identity), Some(&token)).await.unwrap(), "bot");
}

#[tokio::test]
async fn a_stranger_is_unauthenticated() {
    assert_eq!(code(InMemoryIdentity::new(), None).await, Code::Unauthenticated);
    assert_eq!(code(InMemoryIdentity::new(), Some("x")).await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_caller_without_the_role_is_denied() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let layer = layer(identity).require_role(role("data_writer"));
    assert_eq!(ask(layer, Some(&token)).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_outage_is_unavailable() {
    let plugin = Scripted::fails_as(ErrorKind::Unavailable);
    assert_eq!(code(plugin, Some("x")).await, Code::Unavailable);
}
