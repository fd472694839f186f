//! The four kinds of patch, and apply, which may create.

use serde_json::json;

use super::writer;
use crate::core::{Answer, Core, present};
use crate::failure::{Cause, Failure};
use crate::fields::{self, Owner};
use crate::request::Call;
use crate::{apply, decode, patch};

impl Core {
    pub(crate) fn patch(&mut self, call: &Call) -> Result<Answer, Failure> {
        let kind = call
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if kind == "application/apply-patch+yaml" {
            return self.apply(call);
        }
        let strategic = kind == "application/strategic-merge-patch+json";
        let known = strategic
            || matches!(
                kind,
                "application/merge-patch+json" | "application/json-patch+json"
            );
        if !known || strategic && call.resource.is_custom() {
            let accepted = if call.resource.is_custom() {
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            } else {
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
            };
            return Err(Failure::unsupported_media_type(
                if known { "" } else { kind },
                accepted,
            ));
        }
        let change = call.value()?;
        let key = Self::key(call);
        let old = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found())?
            .clone();
        let mut object = present(&call.resource, &old);
        match kind {
            "application/merge-patch+json" => patch::merge(&mut object, &change),
            "application/json-patch+json" => patch::json(&mut object, &change)?,
            _ => patch::strategic(&mut object, &change, &mut Vec::new())?,
        }
        decode::identify(call, &mut object)?;
        self.replace(call, &old, object, None)
    }

    fn apply(&mut self, call: &Call) -> Result<Answer, Failure> {
        let yaml = Call {
            content_type: "application/yaml".to_owned(),
            ..call.clone()
        };
        let mut config = yaml.value()?;
        if !call.query.has("fieldManager") {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                &[cause],
            ));
        }
        if config["metadata"]
            .get("managedFields")
            .is_some_and(|m| !m.is_null())
        {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if config["apiVersion"].as_str().is_none_or(str::is_empty)
            || config["kind"].as_str().is_none_or(str::is_empty)
        {
            return Err(Failure::bad_request("invalid object type: /, Kind="));
        }
        decode::identify(call, &mut config)?;
        let warnings = decode::decode(call, &mut config)?;
        // What this endpoint does not write is not owned either.
        if let Some(fields) = config.as_object_mut() {
            match call.subresource.as_str() {
                "status" => fields.retain(|name, _| {
                    matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status")
                }),
                _ if call.resource.status => {
                    fields.remove("status");
                }
                _ => {}
            }
            if call.subresource == "status" {
                let bare = json!({"name": fields["metadata"]["name"]});
                let version = fields["metadata"]["resourceVersion"].clone();
                fields["metadata"] = bare;
                if version.is_string() {
                    fields["metadata"]["resourceVersion"] = version;
                }
            }
        }
        let applier = writer(call, "Apply");
        let Some(old) = self.store.get(&Self::key(call)).cloned() else {
            if !call.subresource.is_empty() {
                return Err(call.not_found());
            }
            let owner = Owner {
                fields: fields::collect(&call.resource, &config),
                ..applier
            };
            let mut made = self.create_object(call, config, Some(vec![owner]))?;
            made.warnings = warnings;
            return Ok(made);
        };
        let version = config["metadata"]["resourceVersion"].clone();
        let shown = present(&call.resource, &old);
        let force = call.query.is("force");
        let (mut merged, owners) = apply::apply(&call.resource, &shown, &config, applier, force)?;
        if version.is_string() {
            merged["metadata"]["resourceVersion"] = version;
        }
        let mut answer = self.replace(call, &old, merged, Some(owners))?;
        answer.warnings = warnings;
        Ok(answer)
    }
}
