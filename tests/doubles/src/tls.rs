//! A certificate authority made for one double, and the certificate that it gives to this machine's loopback.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server of HTTPS needs, and what its clients must trust.
pub struct Identity {
    /// For the server.
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, for clients.
    pub ca_pem: String,
}

impl Identity {
    /// A new authority, and a certificate for `localhost`, `127.0.0.1` and `::1`. The authority's key is forgotten, so it
    /// never signs anything else.
    ///
    /// # Errors
    /// Where ring makes no key.
    pub fn for_loopback() -> Result<Self, Box<dyn std::error::Error>> {
        Self::for_loopback_and(&[])
    }

    /// As [`Identity::for_loopback`], also for these host names, for clients that reach the server by
    /// [`crate::tunnel::Tunnel`].
    ///
    /// # Errors
    /// Where ring makes no key, or a name can be none.
    pub fn for_loopback_and(hosts: &[&str]) -> Result<Self, Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL's strict mode, which Python 3.13 turns on, wants the usages named and the issuer's key identified.
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "EnvSync test authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = ["localhost", "127.0.0.1", "::1"].iter().chain(hosts).map(|name| (*name).to_owned());
        let mut server = CertificateParams::new(names.collect::<Vec<_>>())?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        server.distinguished_name.push(DnType::CommonName, "EnvSync test server");
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &authority)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { config: Arc::new(config), ca_pem: pem(authority.der()) })
    }
}

/// A certificate as text, in lines of 64 (RFC 7468).
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (n, character) in text.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}
