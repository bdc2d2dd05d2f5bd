//! The one policy: whether a principal may ask for an operation.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operation::{Access, Role},
    value::Millis,
};

use super::Identity;

/// Passes who may ask for an operation with this access at this time.
///
/// # Errors
/// `unauthenticated` for nobody and for a token that has ended, `forbidden` for a role that may not.
pub fn check(identity: Option<&Identity>, access: Access, now: Millis) -> Result<(), Fault> {
    if access == Access::Anyone {
        return Ok(());
    }
    let identity = identity
        .filter(|identity| identity.expires_at > now)
        .ok_or_else(|| Fault::new(FaultCode::Unauthenticated, "sign in first: nobody is signed in here, or the token has ended"))?;
    let principal = &identity.principal;
    let at_least = |role: Role| principal.role.rank().zip(role.rank()).is_some_and(|(has, needs)| has >= needs);
    let may = match access {
        Access::Anyone | Access::Own => true,
        Access::Viewer => at_least(Role::Viewer),
        Access::Member => at_least(Role::Member),
        Access::Admin => at_least(Role::Admin),
        Access::Owner => at_least(Role::Owner),
        Access::Worker => principal.role == Role::Worker,
        Access::Operator => principal.operator == Some(true),
    };
    if may {
        return Ok(());
    }
    let role = principal.role.as_str();
    Err(Fault::new(FaultCode::Forbidden, format!("the role `{role}` in this workspace may not do this")))
}
