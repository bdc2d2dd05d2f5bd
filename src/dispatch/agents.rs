//! Operations that agents ask for: from their tool's arguments through the same router as everyone's requests.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    frame::Body,
    opening::RequestOptions,
    value::{MutationKey, decode, encode},
};
use futures::future::BoxFuture;
use serde_json::Value;
use tracing::info;

use super::Router;
use crate::{
    access::Agent,
    context::Services,
    engine::{Acting, Operations},
};

/// How long an operation may take, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;

/// Carries out what agents ask for.
pub struct Agents {
    /// Which handler does what.
    pub router: Arc<Router>,
    /// What handlers are given.
    pub services: Arc<Services>,
}

impl Operations for Agents {
    fn carry_out(
        &self,
        acting: Acting,
        operation: &'static str,
        input: Value,
        key: Option<MutationKey>,
    ) -> BoxFuture<'static, Result<Value, Fault>> {
        let (router, services) = (self.router.clone(), self.services.clone());
        Box::pin(async move {
            let Acting { run, crew, workspace, user } = acting;
            let agent = Agent { run, name: crew, workspace, user };
            let identity = Arc::new(services.access.agent(agent).await?);
            let key = key.map(|key| key.to_string());
            let options = RequestOptions { key: key.clone(), timeout_ms: Some(TIMEOUT_MS), trace: None };
            let (input, options) = (encode(&input), encode(&options));
            let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let (body, options) = (Body::own(&input), Some(Body::own(&options)));
            let begun = router.begin(&services, Some(&identity), address, operation, body, options);
            let reply = match begun {
                Ok(begun) => begun.reply.await,
                Err(fault) => Err(fault),
            };
            let fault = reply.as_ref().err().map(|fault| fault.code.as_str());
            info!(%run, %workspace, %user, operation, key, fault, "an agent asked for an operation");
            let unreadable = |_| Fault::new(FaultCode::Internal, "what the operation answered can't be read");
            decode(&reply?.output).map_err(unreadable)
        })
    }
}

#[cfg(test)]
mod tests;
