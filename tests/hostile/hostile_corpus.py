"""What can be wrong about a request, as lists: names, values, bodies, heads."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

BOMB = gzip.compress(b" " * 3_000_000, 9)


def _zip(body: bytes) -> bytes:
    return gzip.compress(body, 1)


#: Path segments and ids. Encoded where a request line could not carry them.
SEGMENTS = [
    "", ".", "..", "%2e", "%2e%2e", "%2E%2e%2f", "%2F", "%2f%2f", "%5c", "%00", "a%00b", "%0d%0a",
    "%0aX:%20y",
    "*", "**", "apps%2F*", "*%2F*", "apps%2Fdelta", "instances%2F*", "vips%2F*", "asg%2F*%2Fstatus",
    "peerreplication%2Fbatch", "apps%2F*%2F*%2Fstatus", "status", "metadata", "delta", "apps", "v1", "v2",
    "%ff", "%c3%28", "%ed%a0%80", "%f0%9f%92%a9", "%e2%80%ae", "%e2%80%a8", "%C3%A9", "e%CC%81", "%20", "%09",
    "+", "a+b",
    "%", "%z", "%2", "%25", "%2525", "%252F", "%u002f", "~", "@", ":", ":80", "a:b:1", ";", ";x=1", "a;b",
    "?", "%3F",
    "%23", "$", "&", "=", "'", "%22", "<", "%3Cscript%3E", "{a}", "[a]", "|", "^", "`", "\\", "..\\..", "-",
    "_",
    "constructor", "__proto__", "null", "None", "NaN", "0", "-1", "${jndi:ldap://x}", "{{7*7}}", "%24%7Bx%7D",
    "a" * 255, "a" * 256, "a" * 257, "a" * 3000, "%41" * 300, "\u00e9", "\u0131", "\u212a", "\u1e9e",
    "\ufb01",
]  # fmt: skip
QUERIES = [
    "", "?", "??", "?=", "?&", "?&&&", "?value", "?value=", "?value=UP", "?value=up", "?value=X",
    "?value=%00",
    "?value=UP&value=DOWN", "?value=UNKNOWN", "?value[]=UP", "?a=%00", "?%00=a", "?%ff=%ff", "?a=%ff",
    "?%ed%a0%80=1",
    "?@class=x", "?class=x", "?__proto__=x", "?a%0d%0ab=c", "?<b>=%3Ci%3E&&a=%26", "?a=" + "b" * 3000,
    "?a=" + "b" * 5000, "?" + "&".join(f"k{n}=v" for n in range(60)),
    "?" + "&".join(f"k{n}=v" for n in range(70)),
    "?lastDirtyTimestamp=1", "?lastDirtyTimestamp=-1", "?lastDirtyTimestamp=1.5", "?lastDirtyTimestamp=9e9",
    "?lastDirtyTimestamp=" + "9" * 19, "?lastDirtyTimestamp=" + "9" * 30, "?lastDirtyTimestamp=%31",
    "?lastDirtyTimestamp=\u0661",
    "?lastDirtyTimestamp=1&lastDirtyTimestamp=x", "?xlastDirtyTimestamp=z&lastDirtyTimestamp=",
    "?overriddenstatus=UP", "?overriddenstatus=NOPE", "?status=&overriddenstatus=%00", "?regions=a,b",
    "?regions=,,,,",
    "?" + "&" * 63, "?" + "&" * 70, "?" + "%41=" * 900,
]  # fmt: skip
METHODS = [
    "GET",
    "PUT",
    "POST",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "get",
    "BREW",
    "A" * 40,
]

#: Any value, in JSON's spelling, so that what Python cannot hold is here, too.
VALUES = [
    "null", "true", "false", "0", "-0", "-1", "1.5", "1e400", "-1e400", "NaN", "Infinity", "-Infinity",
    "9223372036854775807",
    "9223372036854775808", "18446744073709551616", "1" * 400, "1" * 5000, "1." + "1" * 3000, "1e-400",
    "1E+99", "01", ".5", "+1", "0x10",
    '""', '" "', '"0"', '"-1"', '"65536"', '"\\u0661"', '"\\u00b2"', '"1_000"', '"NaN"', '"true"',
    '"\\u0000"', '"\\u001b[31m"', '"\\r\\nX: y"',
    '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\udca9"', '"\\u202e"', '"\\u2028"', '"\\uffff"', '"\\ufeff"',
    '"e\\u0301"', '"\\u00e9"',
    '"]]>"', '"<script>alert(1)</script>"', '"&#0;&lt;&amp;"', '"javascript:alert(1)"',
    '"http://169.254.169.254/"', '"http://x/\\u0000"',
    '"http://user:pass@h/"', '"HTTP://EXAMPLE.NET"', '"file:///etc/passwd"', '"//h"', '"../../x"', '"a,b,,c"',
    '",,,,"', '"' + "v," * 40 + '"',
    '"UP"', '"up"', '"OUT_OF_SERVICE"', '"UNKNOWN"', '"NOPE"', '"Amazon"', '"amazon"', '"Netflix"', '"MyOwn"',
    '"keeper-0"', '"FUZZ-1"',
    "[]", "{}", "[[]]", "[null]", '[{"a":1}]', '{"$":1}', '{"$":null}', '{"$":{}}', '{"$":[1]}',
    '{"$":"8080","@enabled":{}}', '{"@enabled":1}',
    '{"@class":"java.lang.Runtime"}', '{"@class":["x"],"name":"Amazon","metadata":[]}', '{"name":"Amazon"}',
    '{"name":"Amazon","metadata":{"instance-id":{},"availability-zone":5}}',
    '{"name":"Amazon","metadata":{"availability-zone":"\\u0000"}}',
    '{"name":{"name":"MyOwn"}}', '{"durationInSecs":-1}',
    '{"durationInSecs":1e300,"renewalIntervalInSecs":"x"}', '{"durationInSecs":[[]]}',
    '{"":""}', '{"\\u0000":"a"}', '{"a":"\\u0000"}', '{"a":[1]}', '{"a":{"b":"c"}}', '{"a":1,"a":2}',
    '{"__proto__":"x","constructor":"y"}',
    '{"a":null}',
    '{"xml:lang":"x","xmlns":"y","-":"z","1":"2"," ":" ","\\u00e9":"\\ud83d\\udca9","_-_":"__"}',
    '{"a b":"<","c&d":">"}',
    "{" + ",".join(f'"k{n}":"v"' for n in range(128)) + "}",
    "{" + ",".join(f'"k{n}":"v"' for n in range(140)) + "}",
    '{"k":"' + "v" * 4096 + '"}', '{"k":"' + "v" * 4097 + '"}', '{"' + "k" * 128 + '":"v"}',
    '{"' + "k" * 129 + '":"v"}',
    "{" + ",".join(f'"k{n}":"{"v" * 3000}"' for n in range(20)) + "}", '"' + "x" * 100_000 + '"',
    '"' + "\\u00e9" * 200 + '"',
    "[" * 15 + "]" * 15, "[" * 40 + "]" * 40, "[" * 5000 + "]" * 5000, '{"a":' * 900 + "1" + "}" * 900,
    "[" + "0," * 9000 + "0]",
    "[" + "0," * 40_000 + "0]", "[" * 2000, '{"a":', '"', "'a'", "undefined", "/**/1", "",
]  # fmt: skip

#: Whole bodies that are no registration of anybody.
BODIES = [
    b"", b" ", b"\x00", b"\x00" * 1000, b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}", b"[]", b"null", b"1", b'"x"',
    b"{", b"}", b"]", b"<", b"<>",
    b"<a", b"<a/>", b"<instance/>", b"<instance></instance", b"a=b&c=d", b"\xed\xa0\x80",
    b'{"instance":null}', b'{"instance":[]}',
    b'{"instance":{}}', b'{"instance":{"instance":{}}}', b'{"replicationList":{}}',
    b'{"replicationList":[null]}', b'{"replicationList":[[]]}',
    b'{"replicationList":[{}]}', b'{"replicationList":[{"appName":{},"id":[],"action":{}}]}',
    b'{"circuits":[null]}', b'{"circuits":{}}',
    b'{"service":"x","instance":"y","circuits":[{"name":"c","histogram":[[0,1]]}]}',
    b'{"service":"x","instance":"y","circuits":[{"name":"c","histogram":[[9999999999999,1]]}]}',
    b'{"service":"x","instance":"y","circuits":[{"name":"c","histogram":[[-1,-1]]}]}',
    b'{"service":"x","instance":"y","circuits":[{"name":"c","counts":{"success":1e308}}]}',
    '{"instance":{}}'.encode("utf-16"), '{"instance":{}}'.encode("utf-32"), b"\x1f\x8b", b"PK\x03\x04",
    b"%PDF-1.4", b"--x\r\n\r\n--x--",
    b"[" * 100_000, b'{"a":' * 50_000, b"<a>" * 50_000, b"<a " + b"b='c' " * 5000 + b"/>",
    b"<a b='" + b"c" * 200_000 + b"'/>",
    b"[" + b"[]," * 80_000 + b"[]]", b" " * 262_144, b" " * 262_145, b'{"a":"' + b"\\u0041" * 40_000 + b'"}',
]  # fmt: skip
_LOL = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
#: Stands before an XML document, or inside of one.
PROLOGUES = [
    f'<!DOCTYPE instance [<!ENTITY l0 "lol">{_LOL}]>', '<!DOCTYPE instance SYSTEM "file:///etc/passwd">',
    "<!DOCTYPE instance>",
    '<!DOCTYPE i [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>',
    '<!DOCTYPE i [<!ENTITY % p SYSTEM "http://127.0.0.1:1/">%p;]>',
    '<?xml version="1.0" encoding="utf-7"?>', '<?xml version="1.0" encoding="hex"?>', '<?xml version="9.9"?>',
    '<?xml version="1.0" encoding="utf-16"?>',
    '<?xml version="1.0" encoding="ISO-8859-1"?>', '<?xml version="1.0" standalone="no"?>', "<?php x ?>",
    "<!-- -- -->", "\ufeff", " \n", "\x00",
]  # fmt: skip
INSIDE = [
    "&lol;", "&#0;", "&#xD800;", "&#x10FFFF;", "&#xFFFFFFFF;", "&amp", "<![CDATA[<a>]]>", "<![CDATA[", "]]>",
    "<?x y?>", "<!-- x -->", "<x:y/>",
    "<a b='1' b='2'/>", "<a xmlns='u'/>", "<instance/>", "<a><b></a></b>", "\x01", "\ud7ff",
    "<metadata><a><b>c</b></a></metadata>", "<a>" * 17 + "</a>" * 17,
    "<a/>" * 11_000, "<metadata>" + "<k>v</k>" * 200 + "</metadata>", "<port enabled='maybe'>99999</port>",
    "<port/>", "<status>NOPE</status>", "<app>X</app>",
    "<leaseInfo><durationInSecs>1e9</durationInSecs></leaseInfo>",
    "<dataCenterInfo class='java.lang.Runtime'><name>Amazon</name><metadata>x</metadata></dataCenterInfo>",
]  # fmt: skip

#: Header lines, whole.
HEADERS = [
    "Accept: ", "Accept: application/json;q=0", "Accept: */*, application/xml;q=0.000001",
    "Accept: " + "a/b," * 800, "Accept: JSON", "Accept: \x80\xff",
    "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br, zstd;q=1, *;q=0",
    "Accept-Encoding: " + "gzip," * 500, "Accept-Charset: hex",
    "X-Eureka-Accept: compact", "X-Eureka-Accept: " + "c" * 5000, "x-netflix-discovery-replication: true",
    "DiscoveryIdentity-Name: DefaultClient",
    "Authorization: Basic", "Authorization: Basic !!!!", "Authorization: Bearer " + "x" * 5000,
    "Authorization: Basic \x80\x81", "Authorization: Digest a=b",
    "Cookie: " + "a=b; " * 1000, "Origin: null", "Origin: http://evil.example", "Origin: ",
    "Origin: http://localhost", "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-For: " + "1.1.1.1, " * 300, "Forwarded: for=127.0.0.1", "Via: 1.1 x",
    "X-Forwarded-Host: localhost", "X-Original-URL: /ui", "X-HTTP-Method-Override: DELETE",
    "Range: bytes=0-", "Range: bytes=" + "0-," * 500, "If-None-Match: *", "If-Modified-Since: never",
    "If-Match: W/\"", "Referer: javascript:1", "User-Agent: \x1b[31m",
    "Content-Type: ", "Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: application/json; charset=hex", "Content-Type: application/json; charset=zlib_codec",
    "Content-Type: application/json;charset=utf-16",
    "Content-Type: application/xml; charset=iso-8859-1", "Content-Type: application/json; charset=\"",
    "Content-Type: application/json;;;=;charset", "Content-Type: \x80",
    "Content-Type: application/vnd.x+json", "Content-Type: APPLICATION/JSON", "Content-Encoding: gzip",
    "Content-Encoding: identity", "Content-Encoding: br",
    "Content-Encoding: gzip, gzip", "Content-Encoding: deflate", "Content-Encoding: \x80",
    "Content-Language: x", "Content-MD5: x", "Expect: 100-continue", "Expect: nonsense",
    "TE: trailers", "Trailer: Content-Length", "Last-Event-ID: -1", "Last-Event-ID: \x80" + "9" * 400,
    "Sec-Fetch-Site: cross-site", "Access-Control-Request-Method: PUT",
    "Keep-Alive: timeout=999999", "Max-Forwards: -1", "X: " + "y" * 7000, "X" * 200 + ": y",
    "Host: evil.example", "Connection: close",
]  # fmt: skip
#: Header lines that change where a message ends, or that no reader should take.
FRAMING = [
    "Content-Length: -1", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: 0x10",
    "Content-Length: 1_0", "Content-Length: ", "Content-Length: 99999999999999999999",
    "Content-Length: 1e3", "Content-Length: 3\r\nContent-Length: 4", "Content-Length: \u00b2",
    "Content-Length: 0\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: \x0bchunked", "Transfer-Encoding : chunked",
    "Transfer-Encoding: xchunked", "Transfer_Encoding: chunked", "Host", ": x", " folded: y", "\tx",
    "X: a\r\n b", "X: a\rb", "X: a\x00b", "X\x00: a", "X : y", "X\u00e9: y", "Host: a\r\nHost: b",
    "Host: ", "Host: a/b", "Host: a@b", "Host: <x>", "Host: a:99999", "Host: [::1", "Host: [zz]",
    "Connection: upgrade\r\nUpgrade: websocket", "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
    "Connection: host", "Proxy-Connection: x", "X: " + "y" * 9000,
    "\r\n".join(f"X{n}: y" for n in range(120)), "\r\n".join(f"X{n}: {'y' * 700}" for n in range(60)),
]  # fmt: skip
CHUNKS = [
    b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"-1\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\nx", b"5;a=b\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"\r\n", b"5\r\nhel", b"0\r\nX: y\r\n\r\n",
    b"0\r\nContent-Length: 3\r\n\r\n", b"1" * 5000 + b"\r\n", b"5" + b";x" * 5000 + b"\r\n",
    b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n", b"zz\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"\x00\r\n", b"0\r\n" + b"X: y\r\n" * 500 + b"\r\n",
]  # fmt: skip
#: First lines that are no request's.
LINES = [
    "GET http://evil.example/eureka/apps HTTP/1.1", "GET http://localhost/eureka/apps HTTP/1.1",
    "GET HTTP://[::1]:80/ HTTP/1.1", "GET //evil.example/x HTTP/1.1", "CONNECT localhost:22 HTTP/1.1",
    "CONNECT / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET * HTTP/1.1", "GET eureka/apps HTTP/1.1", "GET  HTTP/1.1",
    "GET", "GET /", "GET / HTTP/0.9", "GET / HTTP/1.0", "GET / HTTP/1.2", "GET / HTTP/2.0",
    "GET / HTTP/9.9", "GET / HTTP/x", "GET / HTTP/1.1 x", "GET /a b HTTP/1.1", "GET\t/\tHTTP/1.1",
    "G\x00T / HTTP/1.1", "GET /\x00 HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\r HTTP/1.1",
    "\x16\x03\x01\x02\x00",
    "PRI * HTTP/2.0", "GET /#a HTTP/1.1", "GET /?#a HTTP/1.1", "GET ?a HTTP/1.1",
    "GET /" + "a" * 9000 + " HTTP/1.1", "GET /" + "a/" * 2000 + " HTTP/1.1",
    "GET /" + "%2e%2e/" * 500 + "etc/passwd HTTP/1.1",
    "GET http:///x HTTP/1.1", "GET http://[/x HTTP/1.1", "GET http://a:b:c/x HTTP/1.1",
    "GET http://x:99999/ HTTP/1.1", "GET //[::1/x HTTP/1.1", "GET //[x/eureka/apps HTTP/1.1",
    "GET ///:x@y:z/eureka HTTP/1.1",
    "GET /\u00e9 HTTP/1.1", "GET /%zz%ff HTTP/1.1", "GET :80 HTTP/1.1", "GET javascript:1 HTTP/1.1",
    "GET file:///etc/passwd HTTP/1.1",
]  # fmt: skip


#: What is done to gzip: the coding to announce, and what becomes of the body.
CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", _zip),
    ("gzip", _zip),
    ("gzip", lambda body: _zip(body)[:-5]),
    ("gzip", lambda body: _zip(body)[: len(body) // 2]),
    ("gzip", lambda body: _zip(body) + b"x"),
    ("gzip", lambda body: _zip(body) * 2),
    ("gzip", lambda body: body),
    ("gzip", lambda body: b""),
    ("gzip", lambda body: _zip(body)[:10] + b"\xff" * 20 + _zip(body)[30:]),
    ("gzip", zlib.compress),
    ("gzip", lambda body: _zip(_zip(body))),
    ("gzip", lambda body: BOMB),
    ("deflate", zlib.compress),
    ("gzip, gzip", lambda body: _zip(_zip(body))),
    ("identity", lambda body: body),
    ("br", lambda body: body),
]
