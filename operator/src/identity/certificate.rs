//! Certificates: of authorities, and of those whom they certify.
//!
//! What is issued follows from the key of the authority, from the name and from the time alone. So an operator that starts
//! anew issues what is there already, nobody has to read it to find out when it ends, and a leader that follows another changes
//! nothing.

use super::authority::{Authority, LIFE, Time};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber,
};
use ring::hkdf::{HKDF_SHA256, Salt};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use transport::tls::Pem;

const DAY: i64 = 86_400;
/// A new certificate after so long. It lives for as long again, so that a node may be away for that time.
const PERIOD: i64 = 15 * DAY;
/// Clocks of small machines without a battery may be behind.
const EARLIER: i64 = DAY;
/// What stands before the seed of an Ed25519 key in PKCS #8 (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Why something could not be issued: the authority cannot be read, or a name is none.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for {name}: {source}")]
pub struct Unissued {
    name: String,
    source: rcgen::Error,
}

/// A new authority, with a new key.
pub fn authority(now: Time) -> Result<Authority, Unissued> {
    let name = format!("eenn-operator {now}");
    let unissued = |source| Unissued { name: name.clone(), source };
    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(unissued)?;
    let params = authority_params(&name, now - EARLIER, now + LIFE);
    let certificate = params.self_signed(&key).map_err(unissued)?;
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    Ok(Authority { name, certificate, key, made: now, ends: now + LIFE })
}

fn authority_params(name: &str, from: Time, until: Time) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (at(from), at(until));
    params
}

/// The certificate of a name at `now`, with its key; `holder`: who of those that have this name, one after the other; `bundle`: whom it is to
/// trust.
pub fn issue(authority: &Authority, (name, holder): (&str, &str), bundle: &str, now: Time) -> Result<Pem, Unissued> {
    let unissued = |source| Unissued { name: name.to_owned(), source };
    let signing = KeyPair::from_pem(&authority.key).map_err(unissued)?;
    let (from, until) = window(name, now);
    let key = derived(&signing, (name, holder), from).map_err(unissued)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(unissued)?;
    params.distinguished_name = common_name(&short(name));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (at(from), at(until));
    params.serial_number = Some(serial(&authority.name, (name, holder), from));
    let issuer = Issuer::new(authority_params(&authority.name, authority.made - EARLIER, authority.ends), signing);
    let certificate = params.signed_by(&key, &issuer).map_err(unissued)?;
    Ok(Pem {
        certificate: certificate.pem().into(),
        key: key.serialize_pem().into(),
        authorities: bundle.to_owned().into(),
    })
}

/// From when until when the certificate of `name` at `now` is good. Names are spread over time, so that not all are renewed at
/// once.
fn window(name: &str, now: Time) -> (Time, Time) {
    let spread = Sha256::digest(name).iter().take(4).fold(0_i64, |sum, &byte| sum << 8 | i64::from(byte)) % PERIOD;
    let start = (now + spread).div_euclid(PERIOD) * PERIOD - spread;
    (start - EARLIER, start + 2 * PERIOD)
}

/// A key that only the holder of the authority's can find.
fn derived(authority: &KeyPair, (name, holder): (&str, &str), from: Time) -> Result<KeyPair, rcgen::Error> {
    let info =
        [b"eenn.dev/certificate/1".as_slice(), name.as_bytes(), b"/", holder.as_bytes(), b"/", &from.to_be_bytes()];
    let secret = Salt::new(HKDF_SHA256, b"eenn.dev").extract(authority.serialized_der());
    let mut seed = [0; 32];
    let expanded = secret.expand(&info, HKDF_SHA256).and_then(|key| key.fill(&mut seed));
    expanded.map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
    KeyPair::try_from([&ED25519_PKCS8[..], &seed].concat())
}

fn serial(authority: &str, (name, holder): (&str, &str), from: Time) -> SerialNumber {
    let mut number: Vec<u8> = Sha256::digest(format!("{authority}/{name}/{holder}/{from}"))[..16].to_vec();
    // Positive, and never shorter.
    number[0] = number[0] & 0x7f | 0x40;
    SerialNumber::from(number)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Common names hold 64 characters. Nobody verifies them.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn at(time: Time) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transport::tls::Tls;

    /// Some day in 2026.
    const NOW: Time = 1_790_000_000;

    #[test]
    fn the_same_is_issued_again_until_half_of_its_time_is_over() {
        let authority = authority(NOW).unwrap();
        let issue = |name: &str, now: Time| issue(&authority, (name, "u1"), &authority.certificate, now).unwrap();
        let first = issue("camera.edge.svc", NOW);
        assert!(first == issue("camera.edge.svc", NOW));
        assert!(first != issue("doors.edge.svc", NOW) && first.key != issue("doors.edge.svc", NOW).key);
        let other = super::issue(&authority, ("camera.edge.svc", "u2"), &authority.certificate, NOW).unwrap();
        assert!(other.key != first.key, "who has the name next has another key");
        let changes: Vec<i64> = (1..=45)
            .filter(|day| issue("camera.edge.svc", NOW + (day - 1) * DAY) != issue("camera.edge.svc", NOW + day * DAY))
            .collect();
        assert_eq!(changes.iter().zip(&changes[1..]).map(|(a, b)| b - a).collect::<Vec<_>>(), [15, 15]);
        for day in 0..45 {
            let now = NOW + day * DAY;
            let (from, until) = window("camera.edge.svc", now);
            assert!(from <= now - EARLIER && until >= now + PERIOD, "{day}: {from} to {until}");
        }
    }

    #[test]
    fn peers_accept_what_is_issued() {
        let authority = authority(now()).unwrap();
        let tls = |name| Tls::of(&issue(&authority, (name, ""), &authority.certificate, now()).unwrap()).unwrap();
        let (ours, theirs) = (tls("eenn.operator.eenn.dev"), tls("camera.edge.svc"));
        assert_eq!(theirs.names(), ["camera.edge.svc"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let accepting = async {
                let (stream, _) = listener.accept().await.unwrap();
                theirs
                    .acceptor(&["eenn.operator.eenn.dev"])
                    .accept(stream, std::time::Duration::from_secs(5))
                    .await
                    .map(drop)
            };
            let connector = ours.connector("camera.edge.svc").unwrap();
            let (accepted, connected) = tokio::join!(accepting, connector.connect(stream));
            accepted.unwrap();
            connected.unwrap();
        });
    }

    fn now() -> Time {
        jiff::Timestamp::now().as_second()
    }

    #[test]
    fn long_names_are_certified_and_names_that_are_none_are_refused() {
        let authority = authority(NOW).unwrap();
        let long = format!("{}.{}.svc", "a".repeat(60), "b".repeat(60));
        assert!(issue(&authority, (&long, ""), "", NOW).is_ok());
        let error = issue(&authority, ("ü", ""), "", NOW).unwrap_err().to_string();
        assert!(error.starts_with("no certificate for ü: "), "{error}");
    }
}
