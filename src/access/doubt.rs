//! Whose rights a commit puts in doubt: told from the rows that it changed, before anything that was committed later is told.

use std::collections::BTreeSet;

use crewline_protocol::value::UserId;

use crate::store::{Before, Change, Row, Stored, Told};

/// Whose rights are in doubt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    users: BTreeSet<UserId>,
    /// A row went, and nobody had looked whose it was.
    everyone: bool,
}

impl Doubts {
    /// What was written, as far as it can take a right away or change how somebody is called.
    pub fn of(told: &[Told]) -> Self {
        let mut doubts = Self::default();
        for told in told {
            if let Told::Rows { changes, .. } = told {
                changes.iter().for_each(|change| doubts.take(change));
            }
        }
        doubts
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && !self.everyone
    }

    /// Whether those of this user are.
    pub fn about(&self, user: UserId) -> bool {
        self.everyone || self.users.contains(&user)
    }

    fn take(&mut self, change: &Change) {
        let (user, telling): (&str, &[&str]) = match change.table.name {
            "users" => ("id", &["email", "name", "operator", "disabled_at"]),
            "members" => ("user_id", &["role"]),
            "sign_ins" => ("user_id", &["revoked_at"]),
            // A worker stands in its identity with its key's id.
            "api_keys" => ("id", &["revoked_at", "name"]),
            _ => return,
        };
        let before = match &change.before {
            // What is new takes nothing away.
            Before::Absent => return,
            Before::Row(before) => Some(before),
            Before::Unknown => None,
        };
        let same = |(before, after): (&std::sync::Arc<Row>, &std::sync::Arc<Row>)| {
            telling.iter().all(|column| before.cell(column) == after.cell(column))
        };
        if before.zip(change.after.as_ref()).is_some_and(same) {
            return;
        }
        let row = change.after.as_ref().or(before);
        match row.and_then(|row| row.cell(user)).and_then(|id| UserId::from_value(id.clone())) {
            Some(user) => drop(self.users.insert(user)),
            None => self.everyone = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crewline_protocol::{operation::Role, value::Millis};

    use super::*;
    use crate::{
        access::{
            Member, SignIn, User,
            testing::{START, Someone},
        },
        store::{Commit, Location, Store},
    };

    #[tokio::test]
    async fn what_takes_a_right_away_puts_its_user_in_doubt_and_nothing_else_does() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let store = Store::open(&Location::Memory, Arc::new(move |told| tell.lock().unwrap().extend(told))).await.unwrap();
        let doubts = async |commit: Commit| {
            told.lock().unwrap().clear();
            store.commit(commit).await.unwrap();
            Doubts::of(&told.lock().unwrap())
        };
        let nobody = Doubts::default();
        let Someone { user, workspace, member, sign_in } = Someone::new(1, "ada@example.com", Role::Member);
        let somebody = Doubts { users: [user.id].into(), everyone: false };
        let new = Commit::in_workspace(workspace.id).put(&workspace).insert(&user).insert(&member).insert(&sign_in);
        assert_eq!(doubts(new).await, nobody, "what is new");
        let member = store.get::<Member>(member.id).await.unwrap().unwrap();

        let refreshed = SignIn { refresh_used: 1, refresh_expires_at: Millis(9), ..sign_in.clone() };
        assert_eq!(doubts(Commit::default().replace(&sign_in, &refreshed)).await, nobody, "a refreshed sign-in");
        let password = User { updated_at: START.plus(1), ..user.clone() };
        assert_eq!(doubts(Commit::default().replace(&user, &password)).await, nobody, "what nobody sees of a user");
        assert_eq!(doubts(Commit::in_workspace(workspace.id).put(&workspace)).await, nobody, "another table");

        let at = Some(START);
        let changes = [
            Commit::default().replace(&user, &User { disabled_at: at, ..user.clone() }),
            Commit::default().replace(&user, &User { name: "Eve".into(), ..user.clone() }),
            Commit::default().put(&user),
            Commit::default().replace(&sign_in, &SignIn { revoked_at: at, ..sign_in.clone() }),
            Commit::default().replace(&member, &Member { role: Role::Viewer, ..member.clone() }),
            Commit::default().remove(&member),
        ];
        for change in changes {
            let text = format!("{change:?}");
            assert_eq!(doubts(change).await, somebody, "{text}");
        }
        let unseen = doubts(Commit::default().delete::<SignIn>(sign_in.id)).await;
        assert_eq!(unseen, Doubts { users: BTreeSet::new(), everyone: true }, "nobody looked whose it was");
        assert!(unseen.about(user.id));
    }
}
