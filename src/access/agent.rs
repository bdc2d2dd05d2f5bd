//! Agents: a run acts for the person who started it, with that person's rights as they are now.

use crewline_protocol::{
    fault::Fault,
    opening::{Principal, PrincipalKind},
    value::{RunId, SignInId, UserId, WorkspaceId},
};

use super::{
    Access, Identity, Refused,
    rows::User,
    standing::{identity, membership, unavailable},
};
use crate::store::StoreError;

/// How long the identity is good, in milliseconds: it is made anew for each request.
const GOOD_MS: i64 = 60_000;

/// A run as it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The run.
    pub run: RunId,
    /// What others see.
    pub name: String,
    /// Where it acts.
    pub workspace: WorkspaceId,
    /// Who started it.
    pub user: UserId,
}

impl Access {
    /// Who a run is: an agent with its starter's current role in its workspace, and never an operator.
    ///
    /// # Errors
    /// `forbidden` where the starter is disabled, `not_found` where they have left the workspace, `unavailable` where the database is
    /// away.
    pub async fn agent(&self, agent: Agent) -> Result<Identity, Fault> {
        self.read_agent(agent).await.map_err(|error| unavailable(&error))?.map_err(|refused| refused.fault)
    }

    async fn read_agent(&self, agent: Agent) -> Result<Result<Identity, Refused>, StoreError> {
        let mut snapshot = self.0.store.snapshot().await?;
        let Some(user) = snapshot.get::<User>(agent.user).await? else { return Ok(Err(Refused::no_workspace())) };
        if user.disabled_at.is_some() {
            return Ok(Err(Refused::disabled()));
        }
        let Some((workspace, member)) = membership(&mut snapshot, user.id, Some(agent.workspace), None).await? else {
            return Ok(Err(Refused::no_workspace()));
        };
        let now = self.0.clock.now();
        // It came from no sign-in; what asks for one is nothing that agents can be given.
        let person = identity(&user, &workspace, &member, SignInId::new(now, [0; 10]), now.plus(GOOD_MS));
        let principal = Principal {
            kind: PrincipalKind::Agent,
            id: agent.run.to_string(),
            name: agent.name,
            email: None,
            operator: None,
            ..person.principal
        };
        Ok(Ok(Identity { principal, ..person }))
    }
}
