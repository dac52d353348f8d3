"""Software for building any SSH signature, good or bad, over any bytes.

Whatever is odd about a signature is signed along, so that nothing but the oddity can be the reason it is refused.

>>> armor(compose(ED_KEY, ed_sign, payload=b"payload"))[:10]                            # doctest: +SKIP
b'-----BEGIN'
"""

import base64
import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nclaim 4k7q2m9x\n"
BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


def s(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return s(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def armor(blob: bytes, columns: int = 70) -> bytes:
    text = base64.b64encode(blob)
    return BEGIN + b"".join(text[at : at + columns] + b"\n" for at in range(0, len(text), columns)) + END


def blob_of(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


def line_of(blob: bytes) -> str:
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    return f"{kind} {base64.b64encode(blob).decode()}"


def message(payload: bytes, namespace: bytes, reserved: bytes, digest: bytes) -> bytes:
    hashed = hashlib.new("sha512" if digest not in (b"sha256", b"sha1") else digest.decode(), payload).digest()
    return b"SSHSIG" + s(namespace) + s(reserved) + s(digest) + s(hashed)


def compose(key: bytes, sign: Callable[[bytes], bytes], payload: bytes = PAYLOAD, version: int = 1,
            namespace: bytes = b"git", reserved: bytes = b"", digest: bytes = b"sha512", magic: bytes = b"SSHSIG",
            after: bytes = b"") -> bytes:
    """A self-consistent SSHSIG blob: whatever is odd about it is signed along."""
    made = sign(message(payload, namespace, reserved, digest))
    return magic + version.to_bytes(4, "big") + s(key) + s(namespace) + s(reserved) + s(digest) + s(made) + after


ED = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ED_RAW = ED.public_key().public_bytes_raw()
ED_KEY = s(b"ssh-ed25519") + s(ED_RAW)
EC = ec.derive_private_key(0x1234567, ec.SECP256R1())
EC_POINT = EC.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
EC_KEY = s(b"ecdsa-sha2-nistp256") + s(b"nistp256") + s(EC_POINT)
RSA = rsa.generate_private_key(65537, 2048)
RSA_WEAK = rsa.generate_private_key(65537, 1024)
SK_ED, SK_EC = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"


def rsa_key(private: rsa.RSAPrivateKey) -> bytes:
    numbers = private.public_key().public_numbers()
    return s(b"ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)


def ed_sign(data: bytes) -> bytes:
    return s(b"ssh-ed25519") + s(ED.sign(data))


def ec_pair(data: bytes) -> bytes:
    r, t = utils.decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return mpint(r) + mpint(t)


def ec_sign(data: bytes) -> bytes:
    return s(b"ecdsa-sha2-nistp256") + s(ec_pair(data))


def rsa_sign(algorithm: bytes, digest: hashes.HashAlgorithm, key: rsa.RSAPrivateKey = RSA) -> Callable[[bytes], bytes]:
    return lambda data: s(algorithm) + s(key.sign(data, padding.PKCS1v15(), digest))


def touched(data: bytes, application: bytes, flags: int) -> tuple[bytes, bytes]:
    tail = bytes([flags]) + (7).to_bytes(4, "big")
    return hashlib.sha256(application).digest() + tail + hashlib.sha256(data).digest(), tail


def sk_ed(application: bytes = b"ssh:", flags: int = 1, after: bytes = b"", payload: bytes = PAYLOAD) -> bytes:
    def sign(data: bytes) -> bytes:
        signed, tail = touched(data, application, flags)
        return s(SK_ED) + s(ED.sign(signed)) + tail + after
    return compose(s(SK_ED) + s(ED_RAW) + s(application), sign, payload)


def sk_ec(application: bytes = b"ssh:", flags: int = 1) -> bytes:
    def sign(data: bytes) -> bytes:
        signed, tail = touched(data, application, flags)
        return s(SK_EC) + s(ec_pair(signed)) + tail
    return compose(s(SK_EC) + s(b"nistp256") + s(EC_POINT) + s(application), sign)
