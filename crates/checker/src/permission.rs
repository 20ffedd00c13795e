//! Permissions, asked of Cedar a second time from the policy's signed bytes.

use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use evidence::controls::holds;

use crate::record::{DecisionRecord, Policy};

pub(crate) fn check(record: &DecisionRecord, policy: &Policy) -> Result<(), String> {
    let program = policy
        .programs
        .iter()
        .find(|p| p.role == record.role)
        .ok_or("the policy has no such role")?;
    let mut text = String::new();
    let role = &record.role;
    let mut permit = |action: &str, resource: String| {
        text.push_str(&format!("permit (principal == Role::\"{role}\", action == Action::\"{action}\", resource == {resource});\n"));
    };
    program.connect.iter().for_each(|r| permit("connect", format!("Role::\"{r}\"")));
    program.listen.iter().for_each(|p| permit("listen", format!("Port::\"{p}\"")));
    program.secrets.iter().for_each(|s| permit("read", format!("Secret::\"{s}\"")));
    let set = PolicySet::from_str(&text).map_err(|e| e.to_string())?;
    let mut asked =
        record.connect.iter().map(|r| ("connect", format!("Role::\"{r}\""))).collect::<Vec<_>>();
    asked.extend(record.listen.iter().map(|p| ("listen", format!("Port::\"{p}\""))));
    asked.extend(record.secrets.iter().map(|s| ("read", format!("Secret::\"{s}\""))));
    for (action, resource) in asked {
        let uid = |text: String| EntityUid::from_str(&text).map_err(|e| e.to_string());
        let request = Request::new(
            uid(format!("Role::\"{role}\""))?,
            uid(format!("Action::\"{action}\""))?,
            uid(resource.clone())?,
            Context::empty(),
            None,
        )
        .map_err(|e| e.to_string())?;
        let allowed =
            Authorizer::new().is_authorized(&request, &set, &Entities::empty()).decision()
                == Decision::Allow;
        if !holds("recheck_permission", allowed) {
            return Err(format!("the policy does not permit {role} to {action} {resource}"));
        }
    }
    Ok(())
}
