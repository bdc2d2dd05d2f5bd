//! Which calls of which tools are put before a person, who may answer, and what becomes of those that nobody answers.

use std::{cmp::Ordering, collections::BTreeMap};

use crewline_protocol::{
    operation::Role,
    operations::approval::OnExpire,
    read::{Filter, Scalar, Test},
};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Remarks, grants::Grants};
use crate::apps::yaml::{ApprovalFields, Entries};

/// When calls of a tool are put before a person.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRule {
    /// Which arguments ask for it, as a filter over them: `data.status` is the field `status` of the argument `data`. Absent: all.
    pub when: Option<Filter>,
    /// Who may answer: each of these roles, and those above it.
    pub roles: Vec<Role>,
    /// How long the question may wait; absent: for ever.
    pub expires_in_ms: Option<u64>,
    /// What becomes of the run when nobody answers in time.
    pub on_expire: OnExpire,
}

impl ApprovalRule {
    /// Whether a call with these arguments is put before a person.
    pub fn asks(&self, arguments: &Value) -> bool {
        self.when.as_ref().is_none_or(|when| holds(when, arguments))
    }
}

/// The fields that a filter looks at.
fn named(filter: &Filter) -> Vec<&str> {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().flat_map(named).collect(),
        Filter::Not(filter) => named(filter),
        Filter::Is { field, .. } => vec![field],
    }
}

fn holds(filter: &Filter, arguments: &Value) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().all(|filter| holds(filter, arguments)),
        Filter::Any(filters) => filters.iter().any(|filter| holds(filter, arguments)),
        Filter::Not(filter) => !holds(filter, arguments),
        Filter::Is { field, test } => {
            passes(test, field.split('.').try_fold(arguments, |value, key| value.get(key)).unwrap_or(&Value::Null))
        }
    }
}

fn passes(test: &Test, value: &Value) -> bool {
    let ordering = |wanted: &Scalar| order(value, &plain(wanted));
    match test {
        Test::Eq(wanted) => ordering(wanted) == Some(Ordering::Equal),
        Test::Ne(wanted) => ordering(wanted) != Some(Ordering::Equal),
        Test::Lt(wanted) => ordering(wanted) == Some(Ordering::Less),
        Test::Lte(wanted) => matches!(ordering(wanted), Some(Ordering::Less | Ordering::Equal)),
        Test::Gt(wanted) => ordering(wanted) == Some(Ordering::Greater),
        Test::Gte(wanted) => matches!(ordering(wanted), Some(Ordering::Greater | Ordering::Equal)),
        Test::In(wanted) => wanted.iter().any(|wanted| ordering(wanted) == Some(Ordering::Equal)),
        Test::Contains(wanted) => match (value, wanted) {
            (Value::String(text), Scalar::Text(wanted)) => text.contains(wanted),
            (Value::Array(values), wanted) => values.iter().any(|value| order(value, &plain(wanted)) == Some(Ordering::Equal)),
            _ => false,
        },
    }
}

/// Values of one kind; what is of two kinds is neither equal nor in any order.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        _ => None,
    }
}

fn plain(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Nil => Value::Null,
        Scalar::Boolean(flag) => (*flag).into(),
        Scalar::Integer(number) => (*number).into(),
        Scalar::Number(number) => (*number).into(),
        Scalar::Text(text) => text.clone().into(),
    }
}

/// Reads the rules; one for a tool that nobody is granted is complained of.
pub(super) fn read(rules: Entries<Option<ApprovalFields>>, grants: &Grants, remarks: &mut Remarks<'_>) -> BTreeMap<String, ApprovalRule> {
    let rules = rules.0.into_iter().map(|(tool, fields)| {
        if !grants.any(&tool.value) {
            remarks.at(tool.referenced, format_args!("`approvals` names `{}`, which no agent is granted under `tools`", tool.value));
        }
        let fields = fields.unwrap_or_default();
        if fields.roles.as_ref().is_some_and(Vec::is_empty) {
            remarks.at(tool.referenced, "`roles` is empty, so that nobody could answer: write member, admin or owner, or leave it out");
        }
        for field in fields.when.iter().flat_map(named) {
            let argument = field.split('.').next().unwrap_or_default();
            if super::grants::has_no_argument(&tool.value, argument) {
                remarks
                    .at(tool.referenced, format_args!("`{}` has no argument `{argument}`, so that the rule would never ask", tool.value));
            }
        }
        (tool.value, rule(fields, remarks))
    });
    rules.collect()
}

fn rule(fields: ApprovalFields, remarks: &mut Remarks<'_>) -> ApprovalRule {
    let expires_in_ms = remarks.at_least_1("expires_in_ms", fields.expires_in_ms.as_ref());
    let roles = fields.roles.map_or_else(|| vec![Role::Member], |roles| roles.iter().filter_map(|name| role(name, remarks)).collect());
    let on_expire = fields.on_expire.map_or(OnExpire::Reject, |on_expire| match on_expire.value.as_str() {
        "reject" => OnExpire::Reject,
        "fail" => OnExpire::Fail,
        other => {
            remarks.at(on_expire.referenced, format_args!("`on_expire` can't be `{other}`: write `reject` or `fail`"));
            OnExpire::Reject
        }
    });
    ApprovalRule { when: fields.when, roles, expires_in_ms, on_expire }
}

fn role(name: &Spanned<String>, remarks: &mut Remarks<'_>) -> Option<Role> {
    let role = Role::from_name(&name.value).filter(|role| role.rank() > Role::Viewer.rank());
    if role.is_none() {
        remarks.at(name.referenced, format_args!("`{}` is no role that may answer: write member, admin or owner", name.value));
    }
    role
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_asks_by_the_arguments() {
        let asks = |when: Value, arguments: Value| {
            let when = Some(serde_json::from_value(when).unwrap());
            ApprovalRule { when, roles: Vec::new(), expires_in_ms: None, on_expire: OnExpire::Reject }.asks(&arguments)
        };
        let posted = json!({"field": "data.status", "eq": "posted"});
        assert!(asks(posted.clone(), json!({"data": {"status": "posted"}})));
        assert!(!asks(posted.clone(), json!({"data": {"status": "draft"}})));
        assert!(!asks(posted.clone(), json!({"data": "posted"})));
        assert!(!asks(posted, json!(null)));
        assert!(asks(json!({"field": "n", "gt": 2}), json!({"n": 2.5})) && !asks(json!({"field": "n", "gt": 2}), json!({"n": "3"})));
        assert!(asks(json!({"field": "n", "gte": 2}), json!({"n": 2})) && asks(json!({"field": "n", "lte": 2}), json!({"n": 2.0})));
        assert!(asks(json!({"field": "n", "lt": 2}), json!({"n": -1})) && !asks(json!({"field": "n", "lt": 2}), json!({})));
        assert!(asks(json!({"field": "n", "ne": 2}), json!({})) && asks(json!({"field": "n", "eq": null}), json!({})));
        assert!(asks(json!({"field": "to", "contains": "@example.com"}), json!({"to": "ada@example.com"})));
        assert!(asks(json!({"field": "to", "contains": "a"}), json!({"to": ["b", "a"]})));
        assert!(asks(json!({"field": "to", "in": ["a", "b"]}), json!({"to": "b"})));
        let either = json!({"any": [{"field": "a", "eq": true}, {"all": [{"not": {"field": "b", "eq": 1}}, {"field": "b", "ne": null}]}]});
        assert!(asks(either.clone(), json!({"a": true})) && asks(either.clone(), json!({"b": 2})) && !asks(either, json!({"b": 1})));
    }
}
