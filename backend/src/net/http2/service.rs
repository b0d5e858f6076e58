//! HTTP/1.1 and HTTP/2 on one port. The protocol of a connection was negotiated before (ALPN).

use std::{
    future::Future,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{Protocol, Request, Response, error::DispatchError};
use actix_service::{Service, ServiceFactory};
use actix_web::{
    body::{BoxBody, MessageBody},
    dev::ServiceResponse,
};
use futures_util::future::{Either, LocalBoxFuture};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{ConnectionLimits, serve};

/// A service that answers requests: the routes of the server.
pub(crate) trait Answers: 'static {
    /// Answers a request; an error becomes an answer too.
    fn answer(&self, request: Request) -> impl Future<Output = Response<BoxBody>>;
}

impl<S, B> Answers for S
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    async fn answer(&self, request: Request) -> Response<BoxBody> {
        match self.call(request).await {
            Ok(answer) => Response::from(answer).map_into_boxed_body(),
            Err(error) => error.into(),
        }
    }
}

/// An accepted connection, with its protocol and the address of its client.
type Entered<T> = (T, Protocol, Option<SocketAddr>);

/// Combines the services of both protocols.
pub(crate) fn both<F1, F2>(http1: F1, http2: F2, terms: ConnectionLimits) -> Both<F1, F2> {
    Both { http1, http2, terms }
}

/// The factory of [`Serving`], which actix calls once for each worker.
pub(crate) struct Both<F1, F2> {
    http1: F1,
    http2: F2,
    terms: ConnectionLimits,
}

/// The service for connections of either protocol, one for each worker.
pub(crate) struct Serving<S1, S2> {
    http1: S1,
    http2: Rc<S2>,
    terms: ConnectionLimits,
}

impl<T, F1, F2> ServiceFactory<Entered<T>> for Both<F1, F2>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    F1: ServiceFactory<Entered<T>, Config = (), Response = (), Error = DispatchError>,
    F1::Service: 'static,
    F1::Future: 'static,
    F2: ServiceFactory<Request, Config = ()>,
    F2::Service: Answers,
    F2::Future: 'static,
    F1::InitError: From<F2::InitError>,
{
    type Response = ();
    type Error = DispatchError;
    type Config = ();
    type Service = Serving<F1::Service, F2::Service>;
    type InitError = F1::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (http1, http2) = (self.http1.new_service(()), self.http2.new_service(()));
        let terms = self.terms.clone();
        Box::pin(async move { Ok(Serving { http1: http1.await?, http2: Rc::new(http2.await?), terms }) })
    }
}

impl<T, S1, S2> Service<Entered<T>> for Serving<S1, S2>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S1: Service<Entered<T>, Response = (), Error = DispatchError>,
    S1::Future: 'static,
    S2: Answers,
{
    type Response = ();
    type Error = DispatchError;
    // HTTP/1.1 runs inside the connection's task without a box, which would cost each delivery another cache miss.
    type Future = Either<S1::Future, LocalBoxFuture<'static, Result<(), DispatchError>>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), DispatchError>> {
        self.http1.poll_ready(cx)
    }

    fn call(&self, entered: Entered<T>) -> Self::Future {
        if entered.1 != Protocol::Http2 {
            return Either::Left(self.http1.call(entered));
        }
        let (io, _, peer) = entered;
        let (routes, terms) = (Rc::clone(&self.http2), self.terms.clone());
        Either::Right(Box::pin(
            async move { serve(io, peer, routes, terms).await.map_err(DispatchError::H2) },
        ))
    }
}
