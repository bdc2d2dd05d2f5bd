//! A sign-in goes on by its refresh tokens, and ends when it is signed out or one of them comes back too late. None is stored: the
//! sign-in's row counts which was used last, and what is signed says which one it is.

use std::cmp::Ordering;

use crewline_protocol::{
    fault::{Fault, FaultCode},
    value::Millis,
};

use super::{
    Access, Denied, Grant, Identity, Refused,
    rows::{SignIn, User},
    sign_in::{busy, same_principal},
    standing::{good, membership},
    tokens::RefreshToken,
};
use crate::store::{Commit, CommitError, Condition, Guard, Select, Value};

/// How often something is read and written again when another request changed it between: two tabs of one person at most.
const ATTEMPTS: usize = 5;

impl Access {
    /// Changes a refresh token for new tokens. It stays good until its successor is first used.
    ///
    /// # Errors
    /// `unauthenticated` for a token that is not good, has ended, or was used before its successor was: then all that came from its
    /// sign-in is signed out ([`Denied::Reused`]). `conflict` for another principal than `here`.
    pub async fn refresh(&self, refresh_token: &str, here: Option<&Identity>) -> Result<Grant, Denied> {
        let token = self.0.tokens.read_refresh(refresh_token).ok_or_else(refresh_refused)?;
        for _ in 0..ATTEMPTS {
            if let Some(grant) = self.try_refresh(token, here).await? {
                return Ok(grant);
            }
        }
        Err(busy().into())
    }

    /// Ends the sign-in of this identity, or all of its user's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn log_out(&self, identity: &Identity, everywhere: bool) -> Result<(), Denied> {
        let select = if everywhere { Select::by("user_id", identity.user) } else { Select::by("id", identity.sign_in) };
        let select = select.and(Condition::Equals("revoked_at", Value::Null));
        for _ in 0..ATTEMPTS {
            let sign_ins = self.0.store.select::<SignIn>(&select).await?;
            let at = self.0.clock.now();
            let sign_out = |commit: Commit, sign_in: &SignIn| revoke(commit, sign_in, &SignIn { signed_out: true, ..sign_in.revoked(at) });
            match self.0.store.commit(sign_ins.iter().fold(Commit::default(), sign_out)).await {
                Err(CommitError::Guard(_)) => {}
                done => return Ok(done.map(drop)?),
            }
        }
        Err(busy().into())
    }

    /// `None`: another request changed the sign-in meanwhile.
    async fn try_refresh(&self, token: RefreshToken, here: Option<&Identity>) -> Result<Option<Grant>, Denied> {
        let now = self.0.clock.now();
        let mut snapshot = self.0.store.snapshot().await?;
        let Some(sign_in) = snapshot.get::<SignIn>(token.sign_in).await? else { return Err(refresh_refused().into()) };
        let user = snapshot.get::<User>(sign_in.user_id).await?;
        let (user, _) = good(user.as_ref(), Some(&sign_in))?;
        if sign_in.refresh_expires_at <= now || token.number > sign_in.refresh_used + 1 {
            return Err(refresh_refused().into());
        }
        let used = match token.number.cmp(&sign_in.refresh_used) {
            Ordering::Less => {
                drop(snapshot);
                return self.reused(&sign_in, now).await;
            }
            Ordering::Equal => None,
            Ordering::Greater => {
                let (refresh_used, refresh_expires_at) = (token.number, self.refresh_expires_at(now));
                Some(SignIn { refresh_used, refresh_expires_at, updated_at: now, ..sign_in.clone() })
            }
        };
        same_principal(here, user.id, None)?;
        let place = membership(&mut snapshot, user.id, here.map(|here| here.workspace), Some(sign_in.workspace_id)).await?;
        let (workspace, member) = place.ok_or_else(Refused::no_workspace)?;
        drop(snapshot);
        if let Some(used) = &used {
            match self.0.store.commit(guarded(Commit::default(), &sign_in).replace(&sign_in, used)).await {
                Err(CommitError::Guard(_)) => return Ok(None),
                done => drop(done?),
            }
        }
        self.grant(user, &workspace, &member, used.as_ref().unwrap_or(&sign_in), token.number + 1).map(Some)
    }

    async fn reused(&self, sign_in: &SignIn, now: Millis) -> Result<Option<Grant>, Denied> {
        match self.0.store.commit(revoke(Commit::default(), sign_in, &sign_in.revoked(now))).await {
            Err(CommitError::Guard(_)) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(_) => {
                tracing::warn!(sign_in = %sign_in.id, user = %sign_in.user_id, "a used refresh token came back: the sign-in is revoked");
                Err(Denied::Reused(sign_in.id, Refused::revoked()))
            }
        }
    }
}

fn refresh_refused() -> Fault {
    Fault::new(FaultCode::Unauthenticated, "the refresh token is not good, or has ended: sign in again")
}

fn revoke(commit: Commit, sign_in: &SignIn, revoked: &SignIn) -> Commit {
    guarded(commit, sign_in).replace(sign_in, revoked)
}

impl SignIn {
    fn revoked(&self, at: Millis) -> Self {
        Self { revoked_at: Some(at), updated_at: at, ..self.clone() }
    }
}

/// A commit that is carried out only if nobody has used or revoked the sign-in meanwhile.
fn guarded(commit: Commit, sign_in: &SignIn) -> Commit {
    let columns = vec![("refresh_used", Value::Integer(sign_in.refresh_used)), ("revoked_at", Value::Null)];
    commit.guard(Guard::columns::<SignIn>(sign_in.id, columns))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use crewline_protocol::value::SignInId;
    use tokio::time::advance;

    use super::*;
    use crate::{
        access::testing::{self, PASSWORD, login, refresh, registered, stored},
        settings::Settings,
        store::{Location, Store},
    };

    #[tokio::test(start_paused = true)]
    async fn a_refresh_token_is_answered_again_until_its_successor_is_used() {
        let (access, store) = testing::access().await;
        let first = registered(&access, "ada@example.com").await;
        advance(Duration::from_secs(60)).await;
        let second = refresh(&access, &first.tokens.refresh_token).await.unwrap();
        let sixty_later = |ends: Millis| ends.plus(60_000);
        assert_eq!(second.tokens.access_expires_at, sixty_later(first.tokens.access_expires_at));
        assert_eq!(second.tokens.refresh_expires_at, sixty_later(first.tokens.refresh_expires_at));
        assert_ne!(second.tokens.refresh_token, first.tokens.refresh_token);
        advance(Duration::from_secs(1)).await;
        let answered_again = refresh(&access, &first.tokens.refresh_token).await.unwrap();
        assert_eq!(answered_again.tokens.refresh_token, second.tokens.refresh_token);
        assert_eq!(answered_again.tokens.refresh_expires_at, second.tokens.refresh_expires_at);
        let third = refresh(&access, &second.tokens.refresh_token).await.unwrap();
        assert_ne!(third.tokens.refresh_token, second.tokens.refresh_token);
        assert_eq!(third.identity.sign_in, first.identity.sign_in);
        assert_eq!(stored(&store, &first).await.refresh_used, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_token_used_after_its_successor_revokes_all_that_came_from_its_sign_in() {
        let (access, _) = testing::access().await;
        let first = registered(&access, "ada@example.com").await;
        let other = login(&access, "ada@example.com", PASSWORD).await.unwrap();
        let second = refresh(&access, &first.tokens.refresh_token).await.unwrap();
        let third = refresh(&access, &second.tokens.refresh_token).await.unwrap();
        let reused = access.refresh(&first.tokens.refresh_token, None).await.unwrap_err();
        assert!(matches!(&reused, Denied::Reused(sign_in, _) if *sign_in == first.identity.sign_in), "{reused:?}");
        for token in [&first.tokens.refresh_token, &second.tokens.refresh_token, &third.tokens.refresh_token] {
            assert_eq!(refresh(&access, token).await.unwrap_err(), Refused::revoked().fault);
        }
        assert_eq!(access.verify(&third.tokens.access_token, None).await.unwrap_err(), Refused::revoked());
        assert!(access.verify(&other.tokens.access_token, None).await.is_ok(), "another sign-in of the same user goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn two_tabs_that_refresh_at_once_get_the_same_successor() {
        let (access, store) = testing::access().await;
        let first = registered(&access, "ada@example.com").await;
        let tabs = (0..8).map(|_| refresh(&access, &first.tokens.refresh_token));
        let successors: Vec<String> =
            futures::future::join_all(tabs).await.into_iter().map(|grant| grant.unwrap().tokens.refresh_token).collect();
        assert!(successors.iter().all(|token| *token == successors[0]), "{successors:?}");
        assert_eq!(stored(&store, &first).await.refresh_used, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_lasts_as_long_as_it_is_used() {
        let (access, _) = testing::access().await;
        let life = Duration::from_millis(Settings::default().refresh_token_ms);
        let first = registered(&access, "ada@example.com").await;
        advance(life - Duration::from_millis(1)).await;
        let second = refresh(&access, &first.tokens.refresh_token).await.unwrap();
        advance(life).await;
        assert_eq!(refresh(&access, &second.tokens.refresh_token).await.unwrap_err(), refresh_refused());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_refresh_token_is_refused_in_one_wording() {
        let (access, _) = testing::access().await;
        let ada = registered(&access, "ada@example.com").await;
        let sign_in = ada.identity.sign_in;
        let unborn = access.0.tokens.refresh(RefreshToken { sign_in, number: 2 });
        let unknown = access.0.tokens.refresh(RefreshToken { sign_in: SignInId::new(Millis(0), [1; 10]), number: 1 });
        for token in ["", "crr_", &ada.tokens.access_token, &unborn, &unknown] {
            assert_eq!(refresh(&access, token).await.unwrap_err(), refresh_refused(), "{token}");
        }
    }

    #[tokio::test]
    async fn a_database_holds_what_memory_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(folder.path().join("crewline.db")), Arc::new(|_| ())).await.unwrap();
        let access = testing::access_with(&store, &Settings::default());
        let first = registered(&access, "ada@example.com").await;
        assert_eq!(registered(&access, "ada@example.com").await.identity.principal, first.identity.principal);
        let tabs = (0..4).map(|_| refresh(&access, &first.tokens.refresh_token));
        let second = futures::future::join_all(tabs).await.pop().unwrap().unwrap();
        let third = refresh(&access, &second.tokens.refresh_token).await.unwrap();
        assert!(matches!(access.refresh(&first.tokens.refresh_token, None).await, Err(Denied::Reused(..))));
        assert_eq!(access.verify(&third.tokens.access_token, None).await, Err(Refused::revoked()));
        let again = login(&access, "ada@example.com", PASSWORD).await.unwrap();
        let standings = access.standings(std::slice::from_ref(&again.identity)).await.unwrap();
        assert_eq!(standings, [Ok(Identity::clone(&again.identity))]);
        access.log_out(&again.identity, true).await.unwrap();
        assert_eq!(refresh(&access, &again.tokens.refresh_token).await.unwrap_err(), Refused::revoked().fault);
        store.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn signing_out_ends_one_sign_in_or_all_of_the_user_and_no_one_elses() {
        let (access, _) = testing::access().await;
        let ben = registered(&access, "ben@example.com").await;
        let mut sign_ins = vec![registered(&access, "ada@example.com").await];
        for _ in 0..3 {
            sign_ins.push(login(&access, "ada@example.com", PASSWORD).await.unwrap());
        }
        let good = async |grant: &Grant| access.verify(&grant.tokens.access_token, None).await.is_ok();
        access.log_out(&sign_ins[1].identity, false).await.unwrap();
        access.log_out(&sign_ins[1].identity, false).await.unwrap();
        let still: Vec<bool> = futures::future::join_all(sign_ins.iter().map(good)).await;
        assert_eq!(still, [true, false, true, true]);
        assert_eq!(refresh(&access, &sign_ins[1].tokens.refresh_token).await.unwrap_err(), Refused::revoked().fault);
        access.log_out(&sign_ins[0].identity, true).await.unwrap();
        let still: Vec<bool> = futures::future::join_all(sign_ins.iter().map(good)).await;
        assert_eq!(still, [false; 4]);
        assert!(good(&ben).await);
    }
}
