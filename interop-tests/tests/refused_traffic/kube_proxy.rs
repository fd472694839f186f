//! What kube-proxy writes for the Service, in short.

use crate::{CLUSTER, LOAD_BALANCER, POD, PORT};

/// What kube-proxy writes in its mode `iptables`, in short.
pub(crate) fn iptables(family: usize) -> String {
    let (balancer, cluster, pod) = (LOAD_BALANCER[family], CLUSTER[family], POD[family]);
    let target = ["10.244.1.5:8080", "[fd00:244:1::5]:8080"][family];
    format!(
        "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-SVC-WEB - [0:0]\n\
         :KUBE-SEP-WEB - [0:0]\n\
         -A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-POSTROUTING\n\
         -A KUBE-SERVICES -d {cluster} -p tcp -m tcp --dport {PORT} -j KUBE-SVC-WEB\n\
         -A KUBE-SERVICES -d {balancer} -p tcp -m tcp --dport {PORT} -j KUBE-SVC-WEB\n\
         -A KUBE-SVC-WEB ! -s {pod} -j KUBE-MARK-MASQ\n-A KUBE-SVC-WEB -j KUBE-SEP-WEB\n\
         -A KUBE-SEP-WEB -s {pod} -j KUBE-MARK-MASQ\n\
         -A KUBE-SEP-WEB -p tcp -m tcp -j DNAT --to-destination {target}\n\
         -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A KUBE-POSTROUTING -j MASQUERADE\nCOMMIT\n"
    )
}

/// What kube-proxy writes in its mode `nftables`, in short.
pub(crate) fn nftables(family: usize) -> String {
    let (balancer, cluster) = (LOAD_BALANCER[family], CLUSTER[family]);
    let (keyword, kind) = [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")][family];
    let target = ["10.244.1.5:8080", "[fd00:244:1::5]:8080"][family];
    format!(
        "table {keyword} kube-proxy {{\n\
         chain mark-for-masquerade {{ meta mark set meta mark or 0x4000; }}\n\
         chain service-web {{ jump mark-for-masquerade; meta l4proto tcp dnat to {target}; }}\n\
         map service-ips {{ type {kind} . inet_proto . inet_service : verdict; elements = {{\n\
         {cluster} . tcp . {PORT} : goto service-web, {balancer} . tcp . {PORT} : goto service-web }} }}\n\
         chain services {{ {keyword} daddr . meta l4proto . th dport vmap @service-ips; }}\n\
         chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain nat-output {{ type nat hook output priority -100; jump services; }}\n\
         chain nat-postrouting {{ type nat hook postrouting priority srcnat; meta mark & 0x4000 != 0 masquerade; }}\n\
         }}\n"
    )
}
