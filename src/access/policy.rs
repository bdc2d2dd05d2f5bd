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
        Access::Anyone => true,
        Access::Own => principal.role != Role::Worker,
        Access::Viewer => at_least(Role::Viewer),
        Access::ViewerOrWorker => at_least(Role::Viewer) || principal.role == Role::Worker,
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

#[cfg(test)]
mod tests {
    use crewline_protocol::{
        opening::{Principal, PrincipalKind, WorkspaceRef},
        operations::OPERATIONS,
        value::{SignInId, UserId, WorkspaceId},
    };

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    /// Who asks, in the order of the table's columns.
    const WHO: [&str; 9] =
        ["owner", "admin", "member", "viewer", "worker", "agent", "an operator who is a viewer", "whose token ended", "nobody"];

    /// `+` may, `f` is forbidden, `u` is unauthenticated. A new operation needs a row here.
    const TABLE: &[(&str, &str)] = &[
        ("auth.register", "+++++++++"),
        ("auth.login", "+++++++++"),
        ("auth.refresh", "+++++++++"),
        ("auth.authenticate", "+++++++++"),
        ("auth.logout", "++++f++uu"),
        ("auth.me", "++++f++uu"),
        ("workspace.get", "++++ff+uu"),
        ("workspace.list", "++++f++uu"),
        ("workspace.update", "+ffffffuu"),
        ("member.get", "++++ff+uu"),
        ("member.list", "++++ff+uu"),
        ("member.aggregate", "++++ff+uu"),
        ("member.update", "++fffffuu"),
        ("member.remove", "++++ff+uu"),
        ("invitation.get", "++fffffuu"),
        ("invitation.list", "++fffffuu"),
        ("invitation.aggregate", "++fffffuu"),
        ("invitation.create", "++fffffuu"),
        ("invitation.revoke", "++fffffuu"),
        ("invitation.accept", "++++f++uu"),
        ("api_key.get", "++fffffuu"),
        ("api_key.list", "++fffffuu"),
        ("api_key.aggregate", "++fffffuu"),
        ("api_key.create", "++fffffuu"),
        ("api_key.revoke", "++fffffuu"),
        ("session.create", "+++ffffuu"),
        ("session.get", "++++ff+uu"),
        ("session.list", "++++ff+uu"),
        ("session.aggregate", "++++ff+uu"),
        ("session.update", "+++ffffuu"),
        ("session.archive", "+++ffffuu"),
        ("session.delete", "+++ffffuu"),
        ("message.get", "++++ff+uu"),
        ("message.list", "++++ff+uu"),
        ("message.aggregate", "++++ff+uu"),
        ("message.post", "+++ffffuu"),
        ("run.start", "+++ffffuu"),
        ("run.get", "++++ff+uu"),
        ("run.list", "++++ff+uu"),
        ("run.aggregate", "++++ff+uu"),
        ("run.cancel", "+++ffffuu"),
        ("run.steer", "+++ffffuu"),
        ("run.pause", "+++ffffuu"),
        ("run.resume", "+++ffffuu"),
        ("run.retry", "+++ffffuu"),
        ("run.append", "ffff+ffuu"),
        ("run.park", "ffff+ffuu"),
        ("run.finish", "ffff+ffuu"),
        ("run.release", "ffff+ffuu"),
        ("approval.get", "++++ff+uu"),
        ("approval.list", "++++ff+uu"),
        ("approval.aggregate", "++++ff+uu"),
        // Who may answer which, its row says further.
        ("approval.answer", "++++ff+uu"),
        ("approval.withdraw", "++fffffuu"),
        ("approval.request", "ffff+ffuu"),
        ("worker.get", "++++ff+uu"),
        ("worker.list", "++++ff+uu"),
        ("worker.aggregate", "++++ff+uu"),
        ("worker.register", "ffff+ffuu"),
        ("worker.drain", "++fffffuu"),
        // A worker sees its own leases alone.
        ("lease.get", "+++++f+uu"),
        ("lease.list", "+++++f+uu"),
        ("lease.aggregate", "+++++f+uu"),
        ("lease.renew", "ffff+ffuu"),
        ("crew.get", "++++ff+uu"),
        ("crew.list", "++++ff+uu"),
        ("crew.aggregate", "++++ff+uu"),
        ("crew.import", "++fffffuu"),
        ("crew.update", "++fffffuu"),
        ("crew.delete", "++fffffuu"),
        ("crew.export", "++fffffuu"),
        ("agent.get", "++++ff+uu"),
        ("agent.list", "++++ff+uu"),
        ("agent.aggregate", "++++ff+uu"),
        ("artifact.get", "++++ff+uu"),
        ("artifact.list", "++++ff+uu"),
        ("artifact.aggregate", "++++ff+uu"),
        ("artifact.read", "++++ff+uu"),
        ("artifact.create", "ffff+ffuu"),
        ("artifact.append", "ffff+ffuu"),
        ("budget.get", "++++ff+uu"),
        ("budget.list", "++++ff+uu"),
        ("budget.aggregate", "++++ff+uu"),
        ("budget.set", "++fffffuu"),
        ("collection.get", "++++ff+uu"),
        ("collection.list", "++++ff+uu"),
        ("collection.aggregate", "++++ff+uu"),
        // Who may do what with a record, its collection says further.
        ("record.create", "++++ff+uu"),
        ("record.get", "++++ff+uu"),
        ("record.list", "++++ff+uu"),
        ("record.aggregate", "++++ff+uu"),
        ("record.update", "++++ff+uu"),
        ("record.delete", "++++ff+uu"),
        ("record.batch", "++++ff+uu"),
    ];

    /// The same for every kind of access, so that those without an operation yet hold too.
    const ACCESSES: &[(Access, &str)] = &[
        (Access::Anyone, "+++++++++"),
        (Access::Own, "++++f++uu"),
        (Access::Viewer, "++++ff+uu"),
        (Access::ViewerOrWorker, "+++++f+uu"),
        (Access::Member, "+++ffffuu"),
        (Access::Admin, "++fffffuu"),
        (Access::Owner, "+ffffffuu"),
        (Access::Worker, "ffff+ffuu"),
        (Access::Operator, "ffffff+uu"),
    ];

    fn identity(role: Role, operator: bool, expires_at: Millis) -> Identity {
        let (user, workspace) = (UserId::new(NOW, [1; 10]), WorkspaceId::new(NOW, [2; 10]));
        let principal = Principal {
            kind: PrincipalKind::User,
            id: user.to_string(),
            name: "Ada".into(),
            email: None,
            workspace: WorkspaceRef { id: workspace, name: "Home".into() },
            role,
            operator: operator.then_some(true),
        };
        Identity { principal, user, workspace, sign_in: SignInId::new(NOW, [3; 10]), expires_at, worker: None }
    }

    fn row(access: Access) -> String {
        let signed_in = |role, operator| Some(identity(role, operator, NOW.plus(1)));
        let who = [
            signed_in(Role::Owner, false),
            signed_in(Role::Admin, false),
            signed_in(Role::Member, false),
            signed_in(Role::Viewer, false),
            signed_in(Role::Worker, false),
            signed_in(Role::Agent, false),
            signed_in(Role::Viewer, true),
            Some(identity(Role::Owner, true, NOW)),
            None,
        ];
        let answer = |identity: &Option<Identity>| match check(identity.as_ref(), access, NOW).map_err(|fault| fault.code) {
            Ok(()) => '+',
            Err(FaultCode::Forbidden) => 'f',
            Err(FaultCode::Unauthenticated) => 'u',
            Err(code) => panic!("{code:?}"),
        };
        who.iter().map(answer).collect()
    }

    #[test]
    fn every_operation_lets_in_exactly_who_the_table_says() {
        let asked: Vec<(&str, String)> = OPERATIONS.iter().map(|operation| (operation.name, row(operation.access))).collect();
        let expected: Vec<(&str, String)> = TABLE.iter().map(|(name, row)| (*name, (*row).to_owned())).collect();
        assert_eq!(asked, expected, "the columns are {WHO:?}");
    }

    #[test]
    fn every_kind_of_access_lets_in_exactly_who_the_table_says() {
        for (access, expected) in ACCESSES {
            assert_eq!(row(*access), *expected, "{access:?}; the columns are {WHO:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_role_and_tells_nothing_of_what_was_asked() {
        let viewer = identity(Role::Viewer, false, NOW.plus(1));
        let fault = check(Some(&viewer), Access::Admin, NOW).unwrap_err();
        assert_eq!(fault, Fault::new(FaultCode::Forbidden, "the role `viewer` in this workspace may not do this"));
    }
}
