"""What the simulated people, programs and attackers look up. Names only, kept by hand for this evaluation.

Never: reads the product's catalogue or its code; the only thing shared is what a service is called, so that an alert
can be matched to a label. Sources: what the services' own documentation and published incident reports name.
Read next: ``world.py``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Target:
    """A service that an attacker may use; ``#`` in its name becomes a random label."""

    service: str
    name: str
    unseen: bool = False  # used in test seeds only
    human: str = ""  # app whose users look this name up, too

    def draw(self, rng: random.Random) -> str:
        """Give a name to look up."""
        return self.name.replace("#", "".join(rng.choices(LETTERS, k=rng.choice((8, 12, 20)))))


BOTS = (
    Target("telegram-bot", "api.telegram.org"),
    Target("telegram-bot", "api.telegram.org"),
    Target("telegram-bot", "api.telegram.org"),
    Target("discord", "discord.com", human="discord"),
    Target("discord", "discord.com", human="discord"),
    Target("slack-webhook", "hooks.slack.com"),
    Target("teams-webhook", "#.webhook.office.com"),
    Target("pushover", "api.pushover.net"),
    Target("qq-bot", "api.sgroup.qq.com", unseen=True),
    Target("viber-bot", "chatapi.viber.com", unseen=True),
    Target("google-chat", "chat.googleapis.com", unseen=True),
    Target("zoom-webhook", "inbots.zoom.us", unseen=True),
    Target("line-notify", "notify-api.line.me", unseen=True),
    Target("simplepush", "api.simplepush.io", unseen=True),
)
"""What stealers and bots report to; the popular ones several times."""
BINS = (
    Target("webhook-site", "webhook.site"),
    Target("webhook-site", "#.webhook.site"),
    Target("pipedream", "#.m.pipedream.net"),
    Target("mocky", "run.mocky.io"),
    Target("putsreq", "putsreq.com", unseen=True),
    Target("requestcatcher", "#.requestcatcher.com", unseen=True),
)
CALLBACKS = (
    Target("interactsh", "#.oast.fun"),
    Target("interactsh", "#.oast.pro"),
    Target("burp-collaborator", "#.oastify.com"),
    Target("requestrepo", "#.requestrepo.com"),
    Target("ceye", "#.ceye.io", unseen=True),
    Target("dnslog-cn", "#.dnslog.cn", unseen=True),
)
TUNNELS = (
    Target("ngrok-agent", "connect.ngrok-agent.com"),
    Target("ngrok-agent", "tunnel.us.ngrok.com"),
    Target("cloudflared", "region1.v2.argotunnel.com"),
    Target("devtunnels", "global.rel.tunnels.api.visualstudio.com", unseen=True),
    Target("ssh-tunnel-agents", "bore.pub", unseen=True),
)
OUTSIDE = tuple(Target(f"outside-{n}", f"hooks.outside-{n}.example") for n in range(6))
"""Services that no catalogue knows: the ceiling of any list."""

IP_CHECKS = (
    "api.ipify.org",
    "ip-api.com",
    "checkip.dyndns.org",
    "reallyfreegeoip.org",
    "icanhazip.com",
    "ipinfo.io",
    "checkip.amazonaws.com",
    "ifconfig.me",
    "freegeoip.app",
)
PERSON_IP_CHECKS = ("ipinfo.io", "ifconfig.me", "ipinfo.io", "icanhazip.com", "www.whatismyip.example")
DOH = ("chrome.cloudflare-dns.com", "mozilla.cloudflare-dns.com", "dns.google")

DISCORD_START = (
    (0.0, "updates.discord.com"),
    (2.4, "discord.com"),
    (4.6, "gateway.discord.gg"),
    (6.0, "cdn.discordapp.com"),
    (18.8, "latency.discord.media"),
)
"""Order and seconds as measured on a desktop start."""
DISCORD_WEB = (
    (0.0, "discord.com"),
    (0.6, "cdn.discordapp.com"),
    (1.2, "remote-auth-gateway.discord.gg"),
    (2.1, "gateway.discord.gg"),
    (4.0, "images-ext-1.discordapp.net"),
    (5.0, "media.discordapp.net"),
)
BUILD_POSTS = (
    ("hooks.slack.com", "slack-webhook"),
    ("acme.webhook.office.com", "teams-webhook"),
    ("discord.com", "discord"),
)
"""Where build machines tell their team, one each."""
DISCORD_INVITE = ((0.0, "discord.com"), (0.5, "cdn.discordapp.com"))
SLACK_START = (
    (0.0, "slack.com"),
    (0.4, "app.slack.com"),
    (0.9, "a.slack-edge.com"),
    (1.5, "edgeapi.slack.com"),
    (2.0, "wss-primary.slack.com"),
    (2.5, "acme.slack.com"),
)
TEAMS_START = (
    (0.0, "teams.microsoft.com"),
    (0.5, "config.teams.microsoft.com"),
    (1.0, "eu-prod.asyncgw.teams.microsoft.com"),
    (2.0, "substrate.office.com"),
)
TELEGRAM_APP = ((0.0, "dns.google.com"), (0.1, "mozilla.cloudflare-dns.com"), (5.0, "t.me"))

LINKED = (
    ("discord.com", 40),
    ("api.slack.com", 12),
    ("script.google.com", 10),
    ("logic.azure.com", 3),
    ("t.me", 10),
    ("api.telegram.org", 6),
    ("hooks.slack.com", 4),
    ("webhook.site", 3),
    ("acme.ngrok.io", 4),
    ("ntfy.sh", 4),
    ("pastebin.com", 10),
    ("hooks.zapier.com", 3),
    ("run.mocky.io", 1),
    ("play.svix.com", 1),
    ("smee.io", 2),
)
"""Names behind links on pages that people read, and how often each."""
MAILED = (
    "discord.com",
    "api.telegram.org",
    "webhook.site",
    "hooks.slack.com",
    "script.google.com",
    "run.mocky.io",
    "acme.ngrok.io",
    "x1.oast.fun",
    "ntfy.sh",
    "api.slack.com",
    "maker.ifttt.com",
    "hooks.zapier.com",
    "smee.io",
    "eovq8.m.pipedream.net",
    "a1.trycloudflare.com",
    "qyapi.weixin.qq.com",
    "api.pushover.net",
    "oapi.dingtalk.com",
    "hook.eu1.make.com",
    "putsreq.com",
    "beeceptor.com",
    "q.requestcatcher.com",
    "frge.io",
    "loca.lt",
    "bxss.me",
    "api.vk.com",
    "api.line.me",
    "postb.in",
    "acme.webhook.office.com",
    "mockbin.org",
    "open.feishu.cn",
    "serveo.net",
)
"""What link scanners and sandboxes meet in mail."""
ODD_SUFFIXES = (
    "{}.avqs.mcafee.com",
    "{}.multi.surbl.org",
    "{}.sophosxl.net",
    "{}.dbl.spamhaus.org",
    "{}.b.barracudacentral.org",
)
TTL = {
    "discord.com": 300,
    "slack.com": 60,
    "edgeapi.slack.com": 60,
    "app.slack.com": 60,
    "hooks.slack.com": 60,
    "webhook.site": 300,
    "cdn.discordapp.com": 300,
    "gateway.discord.gg": 300,
}
"""Seconds, where measured; the rest is drawn (25 % 60, 50 % 300, 25 % 2400) or swept."""
COLLATERAL = (
    "discord.com",
    "discordapp.com",
    "cdn.discordapp.com",
    "gateway.discord.gg",
    "slack.com",
    "app.slack.com",
    "api.slack.com",
    "edgeapi.slack.com",
    "script.google.com",
    "script.googleusercontent.com",
    "api.vk.com",
    "prod-17.westeurope.logic.azure.com",
    "api.line.me",
    "app.n8n.cloud",
    "t.me",
    "web.telegram.org",
    "telegram.org",
    "teams.microsoft.com",
    "canarytokens.org",
    "canarytokens.com",
    "q7k2m9.canarytokens.com",
    "ntfy.sh",
    "github.com",
    "api.github.com",
    "graph.microsoft.com",
    "oapi.dingtalk.com",
    "open.feishu.cn",
    "pastebin.com",
    "dns.google",
    "chrome.cloudflare-dns.com",
    "api.pushbullet.com",
    "a.api.powerplatform.com",
    "x.devtunnels.ms",
)
"""Names that people need: no zone may block one without an operator's word."""
