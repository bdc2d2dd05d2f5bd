use std::time::Duration;

use crewline_protocol::{
    close::CloseCode,
    fault::{Fault, FaultCode, Reason},
    operation::Role,
    operations::{
        auth::{Me, Register, SignedIn},
        invitation::{Accept, Create, Invited, Revoke, Status},
        member::{Remove, Update},
    },
    value::{InvitationId, MemberId, MutationKey, decode},
};
use futures::future::join;
use tokio::{io::DuplexStream, time::advance};

use super::*;
use crate::{
    auth,
    context::Context,
    hub::Hub,
    query::Feeds,
    settings::{INVITATION_MS, Registration, Settings},
    testing::{ADDRESS, Heard, Peer, START, Stage, fault, node, register},
};

/// The membership of who is signed in by these.
async fn member(stage: &Stage, person: &SignedIn) -> Member {
    let own = Select::by("user_id", person.principal.id.as_str());
    let own = own.and(Condition::Equals("workspace_id", person.principal.workspace.id.into()));
    stage.node.services.store.select::<Member>(&own).await.unwrap().remove(0)
}

fn invitation(email: &str, role: Role) -> Create {
    Create { id: None, email: email.into(), role }
}

fn state(fault: &Fault) -> (FaultCode, Option<Reason>) {
    (fault.code, fault.reason)
}

const CONFLICT: FaultCode = FaultCode::Conflict;

#[tokio::test(start_paused = true)]
async fn only_an_owner_makes_or_unmakes_an_owner_and_only_admins_anyone() {
    use Role::{Admin, Member, Owner, Viewer};
    for (actor, role, becomes, may) in [
        (Owner, Viewer, Owner, true),
        (Owner, Owner, Viewer, true),
        (Admin, Viewer, Admin, true),
        (Admin, Admin, Viewer, true),
        (Admin, Viewer, Owner, false),
        (Admin, Owner, Viewer, false),
        (Member, Viewer, Member, false),
    ] {
        let stage = Stage::new(Settings::default()).await;
        let (ben, cleo) = (stage.joins("ben@example.com", actor).await, stage.joins("cleo@example.com", role).await);
        let (mut peer, id) = (stage.connect_as(&ben).await, member(&stage, &cleo).await.id);
        let updated = peer.call(&Update { id, revision: None, role: becomes }).await;
        let now = member(&stage, &cleo).await;
        match updated {
            Ok(row) => assert_eq!((may, row), (true, wire(&now)), "{actor:?} {role:?} {becomes:?}"),
            Err(fault) => assert_eq!((may, fault.code, now.role), (false, FaultCode::Forbidden, role), "{actor:?} {role:?} {becomes:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_workspace_keeps_an_owner_though_both_go_at_once() {
    let stage = Stage::new(Settings::default()).await;
    let ada = member(&stage, &stage.person).await;
    let mut peer = stage.signed_in().await;
    let last = peer.call(&Remove { id: ada.id }).await.unwrap_err();
    assert_eq!(state(&last), (CONFLICT, Some(Reason::State)));
    let last = peer.call(&Update { id: ada.id, revision: None, role: Role::Admin }).await.unwrap_err();
    assert_eq!(last.current, serde_json::to_value(wire(&ada)).ok());

    let person = stage.joins("ben@example.com", Role::Owner).await;
    let (ben, mut other) = (member(&stage, &person).await, stage.connect_as(&person).await);
    let (first, second) = (Remove { id: ada.id }, Update { id: ben.id, revision: None, role: Role::Viewer });
    let (first, second) = join(peer.call(&first), other.call(&second)).await;
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let owners = Select::by("workspace_id", ada.workspace_id).and(Condition::Equals("role", Role::Owner.into()));
    assert_eq!(stage.node.services.store.select::<Member>(&owners).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn everyone_may_leave_and_is_answered_before_the_connection_is_closed() {
    let stage = Stage::new(Settings::default()).await;
    let (ben, cleo) = (stage.joins("ben@example.com", Role::Viewer).await, stage.joins("cleo@example.com", Role::Viewer).await);
    let (mut peer, cleo) = (stage.connect_as(&ben).await, member(&stage, &cleo).await.id);
    let others = peer.call(&Remove { id: cleo }).await.unwrap_err();
    assert_eq!(others.code, FaultCode::Forbidden);
    let own = member(&stage, &ben).await.id;
    assert_eq!(peer.call(&Remove { id: own }).await, Ok(Done {}));
    assert_eq!(peer.hear_end().await.1, Some(CloseCode::SignInRevoked));
    assert_eq!(stage.node.services.store.get::<Member>(own).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_older_row_is_a_conflict_that_holds_the_row() {
    let stage = Stage::new(Settings::default()).await;
    let ben = member(&stage, &stage.joins("ben@example.com", Role::Viewer).await).await;
    let mut peer = stage.signed_in().await;
    let update = |role| Update { id: ben.id, revision: Some(ben.revision), role };
    let now = peer.call(&update(Role::Member)).await.unwrap();
    let stale = peer.call(&update(Role::Admin)).await.unwrap_err();
    assert_eq!(state(&stale), (CONFLICT, Some(Reason::Revision)));
    assert_eq!(stale.current, serde_json::to_value(&now).ok());
    let again = peer.call(&Update { id: ben.id, revision: Some(now.revision), role: Role::Member }).await;
    assert_eq!(again, Ok(now), "nothing changes");
    let worker = peer.call(&Update { id: ben.id, revision: None, role: Role::Worker }).await.unwrap_err();
    assert_eq!((worker.code, worker.fields[0].path.as_str()), (FaultCode::Invalid, "role"));
}

#[tokio::test(start_paused = true)]
async fn what_is_another_workspaces_reads_as_absent() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let hers = ada.call(&invitation("ben@example.com", Role::Viewer)).await.unwrap().invitation.id;
    let eve = register(&stage.node, "eve@example.com").await;
    let mut peer = stage.connect_as(&eve).await;
    let clock = &stage.node.services.clock;
    for id in [member(&stage, &stage.person).await.id, clock.id(MemberId::new)] {
        assert_eq!(peer.call(&Update { id, revision: None, role: Role::Viewer }).await, Err(Fault::not_found()));
        assert_eq!(peer.call(&Remove { id }).await, Err(Fault::not_found()));
    }
    for id in [hers, clock.id(InvitationId::new)] {
        assert_eq!(peer.call(&Revoke { id }).await, Err(Fault::not_found()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_invited_joins_with_their_name_and_gets_tokens_for_that_workspace() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let Invited { invitation: row, token } = ada.call(&invitation(" Ben@Example.COM ", Role::Member)).await.unwrap();
    assert_eq!((row.email.as_str(), row.role, row.status, row.accepted_by), ("ben@example.com", Role::Member, Status::Pending, None));
    assert_eq!(row.expires_at, row.created_at.plus(INVITATION_MS));

    let mut eve = stage.connect_as(&register(&stage.node, "eve@example.com").await).await;
    assert_eq!(eve.call(&Accept { token: token.clone() }).await.unwrap_err().code, FaultCode::Forbidden);

    let own = register(&stage.node, "ben@example.com").await;
    let mut ben = stage.connect_as(&own).await;
    let joined = ben.call(&Accept { token: token.clone() }).await.unwrap();
    assert_eq!((joined.principal.workspace.id, joined.principal.role), (stage.person.principal.workspace.id, Role::Member));
    let member = member(&stage, &joined).await;
    assert_eq!((member.name.as_str(), member.email.as_str(), member.role), ("Ada", "ben@example.com", Role::Member));
    assert_eq!(ben.call(&Me {}).await.unwrap().workspace, own.principal.workspace, "this connection stays where it is");
    let again = ben.call(&Accept { token: token.clone() }).await.unwrap();
    assert_eq!(again.principal, joined.principal);
    assert_ne!(again.refresh_token, joined.refresh_token, "another sign-in");
    let mut there = stage.connect_as(&again).await;
    assert_eq!(there.call(&Me {}).await.unwrap(), joined.principal);

    let row = stage.node.services.store.get::<InvitationRow>(row.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.accepted_by.map(|user| user.to_string())), (Status::Accepted, Some(own.principal.id)));
    ada.call(&Remove { id: member.id }).await.unwrap();
    assert_eq!(state(&ben.call(&Accept { token }).await.unwrap_err()), (CONFLICT, Some(Reason::State)), "it was used");
    assert_eq!(state(&ada.call(&Revoke { id: row.id }).await.unwrap_err()), (CONFLICT, Some(Reason::State)));
}

#[tokio::test(start_paused = true)]
async fn where_registration_is_by_invitation_its_token_lets_its_address_in() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let Invited { invitation: row, token } = ada.call(&invitation("ben@example.com", Role::Member)).await.unwrap();
    let settings = Settings { registration: Registration::Invite, ..Settings::default() };
    let (hub, feeds, store) = (Hub::new(1), Feeds::new(&settings), stage.node.services.store.clone());
    let node = node(settings, stage.node.services.clock.clone(), store, hub, feeds).await;
    let registers = async |email: &str, invitation: Option<&String>| {
        let cx = Context { services: node.services.clone(), identity: None, address: ADDRESS, key: None };
        let (password, name) = ("correct horse".into(), "Ben".into());
        let input = Register { email: email.into(), password, name, workspace: None, invitation: invitation.cloned() };
        auth::register(cx, input).await.map(|answer| answer.output).map_err(fault)
    };
    for (email, token) in [("ben@example.com", None), ("ben@example.com", Some(&"cri_AAAA".into())), ("eve@example.com", Some(&token))] {
        assert_eq!(registers(email, token).await.unwrap_err().code, FaultCode::Forbidden, "{email}");
    }
    let own = registers(" Ben@Example.com", Some(&token)).await.unwrap();
    let joined = stage.connect_as(&own).await.call(&Accept { token: token.clone() }).await.unwrap();
    assert_eq!(joined.principal.workspace.id, stage.person.principal.workspace.id);
    assert_eq!(registers("ben@example.com", Some(&token)).await.unwrap().principal.id, own.principal.id, "asked again");

    let revoked = ada.call(&invitation("cleo@example.com", Role::Member)).await.unwrap();
    ada.call(&Revoke { id: revoked.invitation.id }).await.unwrap();
    let expires = ada.call(&invitation("dora@example.com", Role::Member)).await.unwrap();
    advance(Duration::from_millis(INVITATION_MS.unsigned_abs())).await;
    assert_eq!(registers("cleo@example.com", Some(&revoked.token)).await.unwrap_err().code, FaultCode::Forbidden);
    assert_eq!(registers("dora@example.com", Some(&expires.token)).await.unwrap_err().code, FaultCode::Forbidden);
    assert_eq!(row.status, Status::Pending);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_is_no_longer_good_lets_nobody_in() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let mut ben = stage.connect_as(&register(&stage.node, "ben@example.com").await).await;
    for token in ["", "cri_", "cri_AAAA", stage.person.refresh_token.as_str()] {
        let fault = ben.call(&Accept { token: token.into() }).await.unwrap_err();
        assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, "token"), "{token}");
    }
    let unborn = stage.node.services.access.invitation_token(InvitationId::new(START, [1; 10]));
    assert_eq!(ben.call(&Accept { token: unborn }).await.unwrap_err(), Fault::not_found());

    let revoked = ada.call(&invitation("ben@example.com", Role::Viewer)).await.unwrap();
    let row = ada.call(&Revoke { id: revoked.invitation.id }).await.unwrap();
    assert_eq!(row.status, Status::Revoked);
    assert_eq!(ada.call(&Revoke { id: revoked.invitation.id }).await, Ok(row), "once is enough");
    assert_eq!(state(&ben.call(&Accept { token: revoked.token }).await.unwrap_err()), (CONFLICT, Some(Reason::State)));

    let expires = ada.call(&invitation("ben@example.com", Role::Viewer)).await.unwrap();
    drop((ada, ben));
    advance(Duration::from_millis(INVITATION_MS.unsigned_abs())).await;
    let mut ben = stage.connect_as(&stage.log_in("ben@example.com").await).await;
    assert_eq!(state(&ben.call(&Accept { token: expires.token }).await.unwrap_err()), (CONFLICT, Some(Reason::State)));
    let mut ada = stage.connect_as(&stage.log_in("ada@example.com").await).await;
    let another = ada.call(&invitation("ben@example.com", Role::Viewer)).await.unwrap();
    assert!(ben.call(&Accept { token: another.token }).await.is_ok(), "what has expired gives way");
}

#[tokio::test(start_paused = true)]
async fn an_address_is_invited_once_and_nobody_above_ones_own_role() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let first = ada.call(&invitation("ben@example.com", Role::Owner)).await.unwrap();
    let again = ada.call(&invitation("BEN@example.com", Role::Viewer)).await.unwrap_err();
    assert_eq!(state(&again), (CONFLICT, Some(Reason::Taken)));
    assert_eq!(again.current, serde_json::to_value(&first.invitation).ok());
    assert_eq!(state(&ada.call(&invitation("ada@example.com", Role::Viewer)).await.unwrap_err()), (CONFLICT, Some(Reason::Taken)));
    let taken = Create { id: Some(first.invitation.id), ..invitation("cleo@example.com", Role::Viewer) };
    assert_eq!(state(&ada.call(&taken).await.unwrap_err()), (CONFLICT, Some(Reason::Taken)));
    let two = (stage.signed_in().await, stage.signed_in().await);
    let (mut one, mut other) = two;
    let asked = invitation("dan@example.com", Role::Viewer);
    let (one, other) = join(one.call(&asked), other.call(&asked)).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");

    let mut admin = stage.connect_as(&stage.joins("eve@example.com", Role::Admin).await).await;
    assert_eq!(admin.call(&invitation("finn@example.com", Role::Owner)).await.unwrap_err().code, FaultCode::Forbidden);
    assert!(admin.call(&invitation("finn@example.com", Role::Admin)).await.is_ok());
    for (email, role, path) in
        [("nobody", Role::Viewer, "email"), ("a b@c", Role::Viewer, "email"), ("gil@example.com", Role::Agent, "role")]
    {
        let fault = admin.call(&invitation(email, role)).await.unwrap_err();
        assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, path), "{email}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_kept_without_its_token_and_given_again_with_it() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let key = stage.node.services.clock.id(MutationKey::new);
    let asked = async |peer: &mut Peer<DuplexStream>| {
        peer.ask(&invitation("ben@example.com", Role::Viewer), Some(key)).await;
        let Heard::Reply(_, reply, _) = peer.hear().await else { panic!("it is answered") };
        serde_json::from_value::<Invited>(reply).unwrap()
    };
    let first = asked(&mut ada).await;
    assert_eq!(first.token, stage.node.services.access.invitation_token(first.invitation.id));
    assert_eq!(asked(&mut ada).await, first);
    let kept = stage.node.services.store.reply(&stage.person.principal.id, key).await.unwrap().unwrap();
    let kept: Invited = decode(&kept.reply).unwrap();
    assert_eq!(kept, Invited { token: String::new(), ..first });
}
