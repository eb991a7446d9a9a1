//! Which addresses may be asked at all.
//!
//! Pages, redirects and models name addresses; only the user's definition may name one inside the
//! user's own network. The decision is made on the parsed host, never on text, because one address
//! has many spellings (`127.1`, `2130706433`, `0x7f.1`, `%31%32%37.0.0.1`).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use url::{Host, Url};

/// The longest address that is followed, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// Why an address is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither http nor https.
    #[error("only http and https addresses are fetched, not `{0}:`")]
    Scheme(String),
    /// `http://user:password@host/`.
    #[error("it carries a user name or password")]
    Credentials,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("it is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A port that belongs to another kind of service.
    #[error("port {0} does not belong to the web; if it is meant, name the host in `allow_hosts`")]
    Port(u16),
    /// A name inside the user's own network.
    #[error(
        "`{0}` is a name of this computer or its network; if it is meant, name it in `allow_hosts`"
    )]
    LocalName(String),
    /// An address that is not a public one, written in the URL or behind a name.
    #[error("{ip} is a {class} address; if it is meant, name the host in `allow_hosts`")]
    LocalAddress {
        /// The address.
        ip: IpAddr,
        /// What kind it is.
        class: &'static str,
    },
}

/// An entry of `allow_hosts` that is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host; write `intranet.example`, `192.168.1.5:8080` or `[fd00::1]`, without `http://` and path"
)]
pub struct InvalidHost(pub String);

/// Who vouches for an address that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nobody: a name must still resolve to public addresses only.
    Public,
    /// The definition names this host.
    Named,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedHost {
    host: Host<String>,
    /// None: any port.
    port: Option<u16>,
}

/// Which hosts may be asked: every public one, and those that the definition names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    named: Arc<[NamedHost]>,
}

impl AddressPolicy {
    /// The public internet, and the hosts in `allow_hosts`: `host` (any port) or `host:port`. The
    /// list must come from the user's definition, never from a page or a model.
    ///
    /// # Errors
    /// Names the first entry that is not a host.
    pub fn new<S: AsRef<str>>(allow_hosts: &[S]) -> Result<Self, InvalidHost> {
        let named = allow_hosts
            .iter()
            .map(|entry| parse_entry(entry.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { named })
    }

    /// Whether the address may be asked. Names are checked again when they are resolved.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        self.trust(url).map(drop)
    }

    /// Whether the definition names the address's host.
    #[must_use]
    pub fn names(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let host = without_final_dot(host);
        let port = url.port_or_known_default();
        self.named
            .iter()
            .any(|named| named.host == host && (named.port.is_none() || named.port == port))
    }

    pub(crate) fn trust(&self, url: &Url) -> Result<Trust, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().chars().take(40).collect()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(Refusal::TooLong);
        }
        if self.names(url) {
            return Ok(Trust::Named);
        }
        match url.host() {
            Some(Host::Domain(name)) => check_name(name)?,
            Some(Host::Ipv4(ip)) => check_ip(IpAddr::V4(ip))?,
            Some(Host::Ipv6(ip)) => check_ip(IpAddr::V6(ip))?,
            None => return Err(Refusal::LocalName(String::new())),
        }
        match url.port() {
            Some(port) if port < 1024 && port != 80 && port != 443 => Err(Refusal::Port(port)),
            _ => Ok(Trust::Public),
        }
    }
}

fn parse_entry(entry: &str) -> Result<NamedHost, InvalidHost> {
    let invalid = || InvalidHost(entry.chars().take(200).collect());
    if let Ok(ip) = entry.parse() {
        return Ok(NamedHost { host: Host::Ipv6(ip), port: None });
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| invalid())?;
            if port == 0 {
                return Err(invalid());
            }
            (name, Some(port))
        }
        _ => (entry, None),
    };
    // `Host::parse` takes the percent-encoded and full-width spellings too; an entry has no need of
    // them, and of nothing else that a URL gives a meaning to.
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "/\\@?#%*".contains(c)) {
        return Err(invalid());
    }
    let host = Host::parse(name).map_err(|_| invalid())?;
    Ok(NamedHost { host: without_final_dot(as_ref(&host)), port })
}

fn as_ref(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name.as_str()),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

fn without_final_dot(host: Host<&str>) -> Host<String> {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_ascii_lowercase()),
        Host::Ipv4(ip) => Host::Ipv4(ip),
        Host::Ipv6(ip) => Host::Ipv6(ip),
    }
}

/// Refuses names that only mean something inside a network: no dot, or a reserved ending.
fn check_name(name: &str) -> Result<(), Refusal> {
    const LOCAL_ENDINGS: [&str; 5] =
        [".localhost", ".local", ".localdomain", ".internal", ".home.arpa"];
    let bare = name.trim_end_matches('.').to_ascii_lowercase();
    if !bare.contains('.')
        || bare == "home.arpa"
        || LOCAL_ENDINGS.iter().any(|ending| bare.ends_with(ending))
    {
        return Err(Refusal::LocalName(name.to_owned()));
    }
    Ok(())
}

/// Refuses every address that is not a public one of the internet.
pub(crate) fn check_ip(ip: IpAddr) -> Result<(), Refusal> {
    let class = match ip {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    };
    match class {
        Some(class) => Err(Refusal::LocalAddress { ip, class }),
        None => Ok(()),
    }
}

/// The class of an address that is not public.
fn class_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("local"),
        [127, ..] => Some("loopback"),
        [10, ..] | [192, 168, ..] => Some("private"),
        [172, b, ..] if b & 0xf0 == 16 => Some("private"),
        [100, b, ..] if b & 0xc0 == 64 => Some("carrier-internal"),
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0, _] => Some("protocol-assignment"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("documentation"),
        [192, 88, 99, _] => Some("6to4 relay"),
        [198, 18 | 19, ..] => Some("benchmarking"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// As [`class_v4`]. Only 2000::/3 is in public use; within it, the tunnels are refused because they
/// carry an IPv4 address that nobody has checked. Two forms stand for an IPv4 address by definition
/// and are judged by it.
fn class_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let embedded = || {
        let [[w, x], [y, z]] = [g.to_be_bytes(), h.to_be_bytes()];
        class_v4(Ipv4Addr::new(w, x, y, z))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] => return embedded(),
        [0x64, 0xff9b, 0, 0, 0, 0] => return embedded(),
        _ => {}
    }
    if ip.is_loopback() {
        return Some("loopback");
    }
    match a {
        0x2001 if b < 0x0200 => Some("protocol-assignment or Teredo"),
        0x2001 if b == 0x0db8 => Some("documentation"),
        0x2002 => Some("6to4"),
        0x3fff if b < 0x1000 => Some("documentation"),
        0x2000..=0x3fff => None,
        0xfc00..=0xfdff => Some("private"),
        0xfe80..=0xfebf => Some("link-local"),
        0xff00..=0xffff => Some("multicast"),
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), Refusal> {
        AddressPolicy::default().check(&Url::parse(text).expect("the test's own address"))
    }

    #[test]
    fn public_addresses_pass() {
        for text in [
            "http://example.org/",
            "https://example.org:8443/a",
            "http://8.8.8.8/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:8.8.8.8]/",
            "http://[64:ff9b::808:808]/",
            "http://100.63.255.255/",
            "http://172.32.0.1/",
            "http://localhost.example.org/",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_named_host_passes_with_its_port_only() {
        let policy = AddressPolicy::new(&[
            "127.0.0.1:8080",
            "Intranet.",
            "[::1]",
            "fd00::1",
            "files.local:21",
        ])
        .expect("hosts");
        let verdict =
            |text: &str| policy.check(&Url::parse(text).expect("the test's own address")).is_ok();
        for text in [
            "http://127.0.0.1:8080/",
            "http://127.1:8080/",
            "http://intranet/",
            "http://INTRANET.:99/",
            "https://[::1]:7/",
            "http://[fd00:0::1]/",
            "http://files.local:21/",
        ] {
            assert!(verdict(text), "{text} is named");
        }
        for text in [
            "http://127.0.0.1/",
            "http://127.0.0.2:8080/",
            "http://other/",
            "http://files.local/",
            "ftp://intranet/",
            "http://u:p@intranet/",
        ] {
            assert!(!verdict(text), "{text} is not named");
        }
    }

    #[test]
    fn entries_that_are_not_hosts_are_refused() {
        for entry in [
            "",
            "http://intranet",
            "a/b",
            "a:0",
            "a:99999",
            "*.corp",
            "u@host",
            "a b",
            ":80",
            "[::1",
        ] {
            assert_eq!(AddressPolicy::new(&[entry]), Err(InvalidHost(entry.to_owned())), "{entry}");
        }
    }

    fn private_v4() -> impl Strategy<Value = Ipv4Addr> {
        let net = prop_oneof![
            Just((Ipv4Addr::new(0, 0, 0, 0), 8)),
            Just((Ipv4Addr::new(10, 0, 0, 0), 8)),
            Just((Ipv4Addr::new(100, 64, 0, 0), 10)),
            Just((Ipv4Addr::LOCALHOST, 8)),
            Just((Ipv4Addr::new(169, 254, 0, 0), 16)),
            Just((Ipv4Addr::new(172, 16, 0, 0), 12)),
            Just((Ipv4Addr::new(192, 0, 0, 0), 24)),
            Just((Ipv4Addr::new(192, 168, 0, 0), 16)),
            Just((Ipv4Addr::new(198, 18, 0, 0), 15)),
            Just((Ipv4Addr::new(224, 0, 0, 0), 4)),
            Just((Ipv4Addr::new(240, 0, 0, 0), 4)),
        ];
        (net, any::<u32>()).prop_map(|((base, bits), any)| {
            let mask = u32::MAX << (32 - bits);
            Ipv4Addr::from((u32::from(base) & mask) | (any & !mask))
        })
    }

    fn spellings(ip: Ipv4Addr) -> Vec<String> {
        let [a, b, c, d] = ip.octets();
        let whole = u32::from(ip);
        let (low24, low16) = (whole & 0xff_ffff, whole & 0xffff);
        let hex = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
            .map(|part| format!("{part:x}"));
        let percent: String = ip.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let wide: String = ip
            .to_string()
            .chars()
            .map(|ch| {
                char::from_u32(u32::from(ch) + 0xfee0).expect("full-width forms follow ASCII")
            })
            .collect();
        vec![
            ip.to_string(),
            format!("{ip}."),
            whole.to_string(),
            format!("{whole:#x}"),
            format!("0{whole:o}"),
            format!("{a}.{low24}"),
            format!("{a}.{b}.{low16}"),
            format!("{a:#x}.{b:#o}.{c}.{d:#X}").replace("0o", "0"),
            percent,
            wide,
            format!("[::ffff:{ip}]"),
            format!("[::{ip}]"),
            format!("[64:ff9b::{ip}]"),
            format!("[2002:{}:{}::1]", hex[0], hex[1]),
            format!("[2001:0:{}:{}::]", hex[0], hex[1]),
        ]
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_private_address_passes(ip in private_v4(), port in prop_oneof![Just(80_u16), 1024..=u16::MAX]) {
            for host in spellings(ip) {
                for text in [format!("http://{host}:{port}/"), format!("https:\\\\{host}:{port}\\x")] {
                    // What the parser refuses cannot be asked either.
                    if let Ok(url) = Url::parse(&text) {
                        prop_assert!(AddressPolicy::default().check(&url).is_err(), "{text} passed as {url}");
                    }
                }
            }
        }

        #[test]
        fn only_global_unicast_ipv6_passes(bits in any::<u128>()) {
            let ip = Ipv6Addr::from(bits);
            if check_ip(IpAddr::V6(ip)).is_ok() {
                let mapped = ip.segments()[..6] == [0, 0, 0, 0, 0, 0xffff];
                let translated = ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
                prop_assert!(mapped || translated || ip.segments()[0] >> 13 == 1, "{ip} passed");
            }
        }
    }
}
