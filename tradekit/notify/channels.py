"""The ways to a human: Telegram, ntfy and webhooks over base/net, mail over smtplib, the rest through apprise."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tradekit.base.net import LOOPBACK, Answer, Deadlines, Http
from tradekit.config import ChannelSettings
from tradekit.errors import AuthError, ConfigError, MissingExtra, UpstreamError
from tradekit.notify.words import Message

Secret = Callable[[str], str]  # the value of a secret's name
DEADLINES = Deadlines(3.0, 5.0, 10.0)
MOST_ASKED_S = 3600.0  # a service may ask for a longer pause; a message is not worth one


def send(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    """Deliver one message. Raises UpstreamError (later), AuthError or ConfigError (somebody has to act)."""
    WAYS[channel.kind](name, channel, message, secret)


def _telegram(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    if not channel.secret or not channel.chat:
        raise _incomplete(name, "secret (the bot token's name) and chat")
    http = _http(name, channel.url or "https://api.telegram.org")
    body = {
        "chat_id": channel.chat,
        "text": f"{message.title}\n{message.text}",
        "disable_notification": not message.urgent,
        "disable_web_page_preview": True,
    }
    path = f"/bot{secret(channel.secret)}/sendMessage"
    _settled(name, http.post_json(path, body, shown="/bot***/sendMessage"))


def _ntfy(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    if not channel.topic:
        raise _incomplete(name, "topic")
    http = _http(name, channel.url or "https://ntfy.sh", _bearer(channel, secret))
    body = {
        "topic": channel.topic,
        "title": message.title,
        "message": message.text,
        "priority": 5 if message.urgent else 3,
    }
    _settled(name, http.post_json("/", body))


def _webhook(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    """Without `url` the secret is the whole address: some services put their key into it."""
    if not channel.url and not channel.secret:
        raise _incomplete(name, "url, or secret (the name of an address)")
    whole = channel.url or secret(str(channel.secret))
    parts = urlsplit(whole)
    token = _bearer(channel, secret) if channel.url else None
    http = _http(name, f"{parts.scheme}://{parts.netloc}", token, {"idempotency-key": message.key})
    body = {
        "title": message.title,
        "text": message.text,
        "urgent": message.urgent,
        "key": message.key,
        "events": msgspec.to_builtins(message.events),
    }
    _settled(name, http.post_json(parts.path or "/", body, params=dict(parse_qsl(parts.query)) or None, shown="/..."))


def _smtp(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage

    if not channel.host or not channel.to or not channel.sender:
        raise _incomplete(name, "host, sender and to")
    if channel.tls == "none" and channel.host not in LOOPBACK:
        raise ConfigError(f"notify.channels.{name}: mail without TLS is for this machine only", "tls: starttls")
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = _one_line(message.title), channel.sender, ", ".join(channel.to)
    mail["Message-ID"] = f"<{message.key}@tradekit>"
    if message.urgent:
        mail["X-Priority"] = "1"
    mail.set_content(message.text)
    try:
        if channel.tls == "tls":
            context = ssl.create_default_context()
            link: smtplib.SMTP = smtplib.SMTP_SSL(
                channel.host, channel.port, timeout=DEADLINES.total_s, context=context
            )
        else:
            link = smtplib.SMTP(channel.host, channel.port, timeout=DEADLINES.total_s)
        with link:
            if channel.tls == "starttls":
                link.starttls(context=ssl.create_default_context())
            if channel.user:
                link.login(channel.user, secret(channel.secret or f"{name}-password"))
            link.send_message(mail)
    except smtplib.SMTPAuthenticationError:
        raise AuthError(f"{name}: the mail server refused the login", "tradekit notify --test") from None
    except (OSError, smtplib.SMTPException) as error:
        raise UpstreamError(f"{name}: {type(error).__name__}: {error}") from None


def _apprise(name: str, channel: ChannelSettings, message: Message, secret: Secret) -> None:
    if not channel.secret:
        raise _incomplete(name, "secret (the name of an apprise URL)")
    try:
        import apprise
    except ModuleNotFoundError:
        raise MissingExtra(
            f"notify.channels.{name}: apprise is not installed", "pip install 'tradekit[notify]'"
        ) from None
    way: Any = apprise.Apprise()
    if not way.add(secret(channel.secret)):
        raise ConfigError(f"notify.channels.{name}: the secret is no address that apprise knows", "see its wiki")
    urgency = apprise.NotifyType.FAILURE if message.urgent else apprise.NotifyType.INFO
    if not way.notify(body=message.text, title=message.title, notify_type=urgency):
        raise UpstreamError(f"{name}: apprise could not deliver")


WAYS: dict[str, Callable[[str, ChannelSettings, Message, Secret], None]] = {
    "telegram": _telegram,
    "ntfy": _ntfy,
    "webhook": _webhook,
    "smtp": _smtp,
    "apprise": _apprise,
}


def _http(
    name: str, url: str, token: Callable[[bool], str] | None = None, headers: dict[str, str] | None = None
) -> Http:
    """One channel's HTTP: https, or this machine; never an address of a cloud's own metadata."""
    try:
        if ip_address(urlsplit(url).hostname or "").is_link_local:
            raise ConfigError(f"notify.channels.{name}: a link-local address", "name the service's host")
    except ValueError:
        pass  # a name
    try:
        return Http(url, name=name, deadlines=DEADLINES, token=token, headers=lambda: headers or {})
    except ConfigError:
        raise ConfigError(
            f"notify.channels.{name}: its address is neither https://HOST nor http:// on this machine",
            "tradekit config show notify",
        ) from None


def _bearer(channel: ChannelSettings, secret: Secret) -> Callable[[bool], str] | None:
    named = channel.secret
    return None if named is None else lambda refresh: secret(named)


def _settled(name: str, answer: Answer) -> None:
    """2xx is delivered; 401 and 403 want somebody; everything else is tried again."""
    if 200 <= answer.status < 300:
        return
    if answer.status in (401, 403):
        raise AuthError(f"{name}: the service answered {answer.status}", "tradekit notify --test")
    later = UpstreamError(f"{name}: the service answered {answer.status}")
    later.wait_s = _wait(answer)  # type: ignore[attr-defined]
    raise later


def _wait(answer: Answer) -> float | None:
    """Seconds that the service asks for, in a header or (Telegram) in the body; an hour is the most it gets."""
    text = answer.headers.get("retry-after", "")
    asked = (answer.data or {}).get("parameters") if isinstance(answer.data, dict) else None
    if not text and isinstance(asked, dict):
        text = str(asked.get("retry_after", ""))
    return min(float(text), MOST_ASKED_S) if text.isascii() and text.isdigit() else None


def _incomplete(name: str, what: str) -> ConfigError:
    return ConfigError(f"notify.channels.{name}: it wants {what}", "docs/notify.md")


def _one_line(text: str) -> str:
    return " ".join(text.split())
