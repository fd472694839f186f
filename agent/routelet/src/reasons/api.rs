//! What a request to the API server failed by: its answer (a status code, a reason) or the way to it, and what to do.

use std::error::Error;
use std::io;

use bgp::os_error::OsError;
use kube::core::Status;
use kube::runtime::watcher;
use routelet_api::GROUP;
use routelet_base::printable;

use super::chain;

/// How many octets of the server's own words are shown: an answer of a proxy can be a page.
const SHOWN: usize = 200;

/// Why a request failed.
pub(crate) fn of_request(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => of_status(status),
        kube::Error::HyperError(error) => of_connection(error),
        kube::Error::Service(error) => of_connection(&**error),
        kube::Error::ReadEvents(error) => of_connection(error),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            "the answer is not one of the Kubernetes API: does the address lead to an API server of a supported version?".to_owned()
        }
        kube::Error::Auth(error) => {
            format!("no credentials for the API server: {}", chain(error))
        }
        kube::Error::InferConfig(error) => chain(error),
        kube::Error::InferKubeconfig(error) => chain(error),
        other => shown(&bgp::os_error::without_code(&other.to_string())),
    }
}

/// Why a watch does not get on.
pub(crate) fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => of_request(error),
        watcher::Error::WatchError(status) => of_status(status),
        watcher::Error::NoResourceVersion => {
            "the API server answered a watch without a version: check for a proxy that modifies answers".to_owned()
        }
    }
}

/// Whether the API server has refused a watch, and will until somebody changes something. Credentials that have expired
/// are renewed, and all else is of the moment: overload (429), a server or what it depends on that does not answer
/// (5xx), a conflict, a version that is too old, the connection.
pub(crate) fn is_refusal(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => return false,
    };
    (400..500).contains(&code) && !matches!(code, 401 | 408 | 409 | 410 | 425 | 429)
}

fn of_status(status: &Status) -> String {
    let said = shown(status.message.trim());
    match status.code {
        400 => format!("the API server cannot read the request (400 Bad Request): {said}"),
        401 => "the API server does not accept the credentials (401 Unauthorized): the token or certificate has expired, or is \
                of another cluster"
            .to_owned(),
        403 => of_refusal(&said),
        404 => of_absence(status, &said),
        409 => format!("the object has changed meanwhile (409 Conflict): {said}"),
        410 => "the requested version is too old (410 Gone): listing again".to_owned(),
        413 => "the object is too large for the API server (413)".to_owned(),
        422 => format!("the API server rejects the object (422 Invalid): {said}"),
        429 => "the API server is overloaded and asks to retry later (429 Too Many Requests)".to_owned(),
        500 => format!("the API server failed (500 Internal Server Error): {said}"),
        code @ 502..=504 => format!(
            "the API server, or what it depends on, does not answer ({code}): {said}"
        ),
        // A watch that ends with an error has no code.
        0 => format!("the API server reports: {said}"),
        code => format!("the API server answered {code}: {said}"),
    }
}

/// `routers.routelet.dev is forbidden: User "system:serviceaccount:NAMESPACE:NAME" cannot list resource ...`: the right
/// that is missing, and the role that has it.
fn of_refusal(said: &str) -> String {
    let user = said
        .split("User \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let right = said.split("\" cannot ").nth(1).unwrap_or_default();
    let verb = right.split(' ').next().filter(|verb| !verb.is_empty());
    let resource = right
        .split("resource \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let (Some(user), Some(verb), Some(resource)) = (user, verb, resource) else {
        return format!("not allowed (403 Forbidden): {said}");
    };
    let group = right
        .split("API group \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let of_group = match group {
        None | Some("") => String::new(),
        Some(group) => format!(".{group}"),
    };
    let place = right
        .split("in the namespace \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let name = said
        .split_once("\" is forbidden")
        .and_then(|(before, _)| before.split_once('"'))
        .map_or_else(String::new, |(_, name)| format!(" {name}"));
    let place = place.map_or_else(String::new, |namespace| {
        format!(" in namespace {namespace}")
    });
    let account = user
        .strip_prefix("system:serviceaccount:")
        .and_then(|name| name.split_once(':'));
    let remedy = match account {
        Some((_, "routelet-agent")) if resource == "secrets" => {
            "add its name to resourceNames of Role routelet-agent (deploy/agent/rbac.yaml), or name a Secret that is in there"
                .to_owned()
        }
        Some((_, name @ ("routelet-agent" | "routelet-controller"))) => {
            // What is of one namespace is granted there.
            let role = match resource {
                "leases" => "Role",
                _ => "ClusterRole",
            };
            let folder = name.trim_start_matches("routelet-");
            format!("{role} {name} grants it: apply deploy/{folder}/rbac.yaml of this version")
        }
        Some((namespace, name)) => format!(
            "grant it to ServiceAccount {name} of namespace {namespace}; the roles in deploy/ have all that is needed"
        ),
        None => format!("grant it to user {user}; the roles in deploy/ have all that is needed"),
    };
    format!("not allowed to {verb} {resource}{of_group}{name}{place} (403 Forbidden): {remedy}")
}

/// An object that is not there, or a kind: of the latter the server says nothing but "404 page not found".
fn of_absence(status: &Status, said: &str) -> String {
    let is_object = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    match is_object {
        true => format!("it does not exist (404 Not Found): {said}"),
        false => format!(
            "the API server does not know the kind (404 Not Found): the definitions of {GROUP} are not installed, or older than \
             this version. Install them: routelet crds | kubectl apply --server-side -f -"
        ),
    }
}

/// What happened to the connection, by the innermost cause that says something.
fn of_connection(error: &(dyn Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut cause = Some(error);
    while let Some(next) = cause {
        causes.push(next.to_string());
        if let Some(io) = next.downcast_ref::<io::Error>()
            && let Some(said) = of_io(io)
        {
            return said;
        }
        cause = next.source();
    }
    let has = |words: &str| causes.iter().any(|cause| cause.contains(words));
    if has("UnknownIssuer") || has("certificate") || has("Certificate") {
        return of_certificate(&causes);
    }
    if has("received corrupt message") || has("InvalidContentType") || has("invalid HTTP version") {
        return "the API server does not speak TLS there: is the port right?".to_owned();
    }
    if has("dns error") || has("failed to lookup address") {
        return "the name of the API server cannot be resolved: is it right, and does the node's DNS answer?".to_owned();
    }
    if has("timed out") || has("deadline has elapsed") || has("timeout") {
        return "the API server does not answer in time".to_owned();
    }
    if has("connection closed")
        || has("connection reset")
        || has("unexpected EOF")
        || has("end of file")
    {
        return BROKEN.to_owned();
    }
    let innermost = causes.pop().unwrap_or_default();
    let innermost = bgp::os_error::without_code(&innermost);
    format!("the API server cannot be reached: {}", shown(&innermost))
}

const BROKEN: &str = "the connection to the API server broke off";

fn of_io(error: &io::Error) -> Option<String> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused => {
            "the API server refuses connections (Connection refused): is it running, and are address and port right?".to_owned()
        }
        Kind::TimedOut => "the API server does not answer in time".to_owned(),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof
        | Kind::NotConnected => BROKEN.to_owned(),
        _ => {
            error.raw_os_error()?;
            format!("the API server cannot be reached: {}", OsError::words(error))
        }
    })
}

fn of_certificate(causes: &[String]) -> String {
    let has = |words: &str| causes.iter().any(|cause| cause.contains(words));
    let why = if has("UnknownIssuer") {
        "it is signed by an authority that is not known here: is certificate-authority of the kubeconfig that of this cluster?"
    } else if has("NotValidForName") || has("not valid for name") {
        "it is for other names than the address that is asked: use a name or an address that is in it"
    } else if has("Expired") || has("expired") {
        "it has expired: renew it, and see that the clocks are right"
    } else if has("NotValidYet") || has("not valid yet") {
        "it is not valid yet: see that the clocks are right"
    } else if has("CertificateRequired") || has("BadCertificate") || has("alert") {
        return "the API server does not accept the client's certificate: is it of this cluster, and has it not expired?".to_owned();
    } else {
        "it cannot be verified"
    };
    format!("the certificate of the API server is not accepted: {why}")
}

/// The words of somebody else: one line, and not too long.
fn shown(text: &str) -> String {
    printable::short_line(text, SHOWN)
}
