//! Roles and admission policies: what agent and controller may do.

use std::collections::HashMap;

use kube::Resource;
use kube_cel::cel;
use routelet_core::cluster::Kind;
use serde_json::{Value, json};

use super::{documents, of_kind, text_at};

/// The rows of `routelet_api::kinds` are what is watched and what gets a status.
#[test]
fn roles_allow_what_is_done_with_the_kinds_that_people_write() {
    macro_rules! plurals {
        ($($kind:ident $row:tt)*) => {
            [$((
                routelet_api::$kind::plural(&()).into_owned(),
                routelet_api::$kind::READ_BY_AGENTS,
            )),*]
        };
    }
    let kinds = routelet_api::kinds!(plurals);
    let all: Vec<&str> = kinds.iter().map(|(plural, _)| plural.as_str()).collect();
    let of_agents: Vec<&str> = kinds
        .iter()
        .filter(|(_, is_read)| *is_read)
        .map(|(plural, _)| plural.as_str())
        .collect();
    let statuses: Vec<String> = all.iter().map(|all| format!("{all}/status")).collect();
    let documents = documents();
    let allowed = |role: &str, verbs: Value| {
        let role = of_kind(&documents, "ClusterRole").find(|one| one["metadata"]["name"] == role);
        let rules = role.unwrap()["rules"].as_array().unwrap().iter();
        let mut rules = rules.filter(|rule| {
            rule["apiGroups"] == json!([routelet_api::GROUP]) && rule["verbs"] == verbs
        });
        rules.next().unwrap()["resources"].clone()
    };
    let watch = json!(["list", "watch"]);
    assert_eq!(allowed("routelet-agent", watch.clone()), json!(of_agents));
    assert_eq!(allowed("routelet-controller", watch), json!(all));
    let patched = allowed("routelet-controller", json!(["patch"]));
    assert_eq!(patched, json!(statuses));
}

#[test]
fn an_agent_may_write_the_router_state_of_its_own_node_alone() {
    let documents = documents();
    let policy = of_kind(&documents, "ValidatingAdmissionPolicy")
        .next()
        .unwrap();
    let binding = of_kind(&documents, "ValidatingAdmissionPolicyBinding")
        .next()
        .unwrap();
    assert_eq!(
        binding["spec"]["policyName"],
        text_at(policy, "metadata.name")
    );
    let agent = "system:serviceaccount:routelet-system:routelet-agent";
    let own = json!({"authentication.kubernetes.io/node-name": ["node-1"]});
    for (user, extra, name, allowed) in [
        (agent, &own, "node-1", true),
        (agent, &own, "node-2", false),
        (agent, &own, "", false),
        (agent, &json!({}), "node-1", false),
        // Whom the policy is not about: an administrator, the garbage collector.
        ("kubernetes-admin", &json!({}), "node-2", true),
    ] {
        let request = json!({"userInfo": {"username": user, "extra": extra}, "name": name});
        let mut context = cel::Context::default();
        context.add_variable("request", &request).unwrap();
        let is_true = |context: &cel::Context<'_>, rule: &Value| {
            let program = cel::Program::compile(text_at(rule, "expression")).unwrap();
            program.execute(context).unwrap() == cel::Value::Bool(true)
        };
        let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
        let is_meant = conditions.iter().all(|rule| is_true(&context, rule));
        let nodes = text_at(&policy["spec"]["variables"][0], "expression");
        let nodes = cel::Program::compile(nodes).unwrap().execute(&context);
        let variables = HashMap::from([("nodes".to_owned(), nodes.unwrap())]);
        context.add_variable_from_value("variables", variables);
        let mut rules = policy["spec"]["validations"].as_array().unwrap().iter();
        let found = !is_meant || rules.all(|rule| is_true(&context, rule));
        assert_eq!(found, allowed, "{request}");
    }
}
