"""Drafts: every use case before a send. The commands, and looking at a send, are in `batch_messages`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from activities.ports import RenderingFailed, Transport
from activities.rendering import attributes_named, check_links, check_templates, compile_message
from client.interface import AudiencePreview, SendTestOutcome
from models.audience import Audience
from models.commands import Verb
from models.contact import Contact, check_address, id_shown, is_storable
from models.content import check_content
from models.errors import ChangedMeanwhile, InvalidInput, NotFound, blaming
from models.message import ContentChanges, Message, MessageContent, MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Verdict
from models.transitions import require
from models.unsubscribe import links_of, missing_settings
from storage import audience as audiences
from storage import contacts, messages
from storage.database import Connection, Pool


class Drafts:
    """See `client.interface.UseCases` for each."""

    _secret_key: str | None
    _public_url: str | None

    def __init__(self, pool: Pool, transport: Callable[[], Transport]) -> None:
        self._pool = pool
        self._transport = transport  # for test emails alone

    # -- drafts -------------------------------------------------------------------------------------------------

    async def create(self, content: MessageContent) -> Message:
        async with self._pool.acquire() as connection:
            await self.check_content(connection, content)
            message_id = await messages.insert(connection, content)
        return await self.message(message_id)

    async def edit(self, message_id: str, content: MessageContent, *, seen: datetime | None = None) -> Message:
        """With `seen`, an `updated_at`, only over that version; else ChangedMeanwhile, unless both say the same."""
        async with self._pool.acquire() as connection:
            require((await messages.get(connection, message_id)).status, Verb.EDIT)
            await self.check_content(connection, content)
            if not await messages.replace_content(connection, message_id, content, seen=seen):
                now = await messages.get(connection, message_id)
                require(now.status, Verb.EDIT)
                if content_of(now) != content:
                    raise ChangedMeanwhile(now.updated_at)
        return await self.message(message_id)

    async def change(self, message_id: str, changes: ContentChanges) -> Message:
        async with self._pool.acquire() as connection, connection.transaction():
            await messages.lock(connection, message_id)  # two who change different fields at once: both count
            message = await messages.get(connection, message_id)
            require(message.status, Verb.EDIT)
            given = {name: getattr(changes, name) for name in changes.model_fields_set}
            content = content_of(message).model_copy(update=given)
            await self.check_content(connection, content)
            await messages.replace_content(connection, message_id, content)
        return await self.message(message_id)

    async def delete(self, message_id: str) -> None:
        async with self._pool.acquire() as connection:
            require((await messages.get(connection, message_id)).status, Verb.DELETE)
            if not await messages.delete(connection, message_id):
                require((await messages.get(connection, message_id)).status, Verb.DELETE)

    async def copy(self, message_id: str, *, exclude_recipients: bool = False, name: str | None = None) -> Message:
        """Copy as a draft; on demand without everybody whom the original reached or may have reached."""
        async with self._pool.acquire() as connection:
            original = await messages.get(connection, message_id)
            content = content_of(original)
            changes: dict[str, object] = {"name": f"Copy of {original.name}"[:200] if name is None else name}
            if exclude_recipients:
                excluded = dict.fromkeys((*original.audience.exclude_recipients_of, message_id))
                changes["audience"] = original.audience.model_copy(update={"exclude_recipients_of": tuple(excluded)})
            content = content.model_copy(update=changes)
            check_content(content)  # the name is new; a list that is gone by now is told when the copy is sent
            copied = await messages.insert(connection, content, copied_from=message_id)
        return await self.message(copied)

    async def message(self, message_id: str) -> Message:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            if message.status in (MessageStatus.DRAFT, MessageStatus.SCHEDULED):
                size = await audiences.size(connection, message.audience)
                message = message.model_copy(update={"audience_estimate": size})
        return message

    async def messages(
        self,
        *,
        statuses: Sequence[MessageStatus] = (),
        search: str = "",
        containing: str = "",
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[list[Message], str | None]:
        for field, text in (("search", search), ("containing", containing)):
            if not is_storable(text):
                raise InvalidInput(f"{field} has a character that no text can hold.", field=field)
        async with self._pool.acquire() as connection:
            place = await _place(connection, after) if after is not None else None
            page = await messages.page(
                connection, statuses=statuses, search=search, containing=containing, limit=limit + 1, after=place
            )
        return page[:limit], str(messages.Place.of(page[limit - 1])) if len(page) > limit else None

    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]:
        async with self._pool.acquire() as connection:
            return await messages.containing(connection, text, statuses)

    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            await audiences.check_lists_exist(connection, message.audience)
            preview = await audiences.preview(connection, message.audience, sample=sample)
            names = sorted(attributes_named(message))
            lacking = await audiences.count_lacking(connection, message.audience, names)
        return AudiencePreview(
            count=preview.count,
            suppressed=preview.suppressed,
            excluded=preview.excluded,
            sample=preview.sample,
            lacking={name: count for name, count in lacking.items() if count},
        )

    async def rendered(self, message_id: str, contact_id: int | None = None) -> bytes:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            recipient = await self._someone(connection, message.audience, contact_id)
        try:
            # Whoever may look must not come by a link that acts, for it needs no key.
            link = links_of(message_id, self._public_url, self._secret_key, preview=True)
            return compile_message(message_id, message, unsubscribe_link=link).render(recipient).content
        except RenderingFailed as error:
            raise InvalidInput(f"The email for contact {recipient.contact_id} cannot be made: {error}") from error

    async def send_test(self, message_id: str, addresses: Sequence[str]) -> list[SendTestOutcome]:
        with blaming("to"):
            checked = [check_address(address) for address in addresses]
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            example = await self._someone(connection, message.audience, None)
        transport = self._transport()
        link = links_of(message_id, self._public_url, self._secret_key, preview=True)  # the tester is not the example
        outcomes = []
        for address in checked:
            # A Message-ID of its own: the real email would be taken for a repetition of the test otherwise.
            compiled = compile_message(messages.new_id(), message, unsubscribe_link=link)
            recipient = ClaimedRecipient(0, address, 1, example.time_zone, example.attributes)
            try:
                outcome = await transport.hand_over(compiled.render(recipient), _Always())
            except RenderingFailed as error:
                outcome = Outcome(Verdict.FAILED, reply=str(error))
            outcomes.append(
                SendTestOutcome(
                    address=address, verdict=outcome.verdict, smtp_code=outcome.smtp_code, reply=outcome.reply
                )
            )
        return outcomes

    # -- checks -------------------------------------------------------------------------------------------------

    async def check_content(self, connection: Connection, content: MessageContent) -> None:
        """Refuse content that could not be sent, before it is stored."""
        check_content(content)
        check_templates(content)
        await audiences.check_lists_exist(connection, content.audience)
        missing = await messages.missing(connection, content.audience.exclude_recipients_of)
        if missing:
            raise InvalidInput(
                f"There is no message {id_shown(missing[0])} whose recipients could be excluded.",
                field="audience.exclude_recipients_of",
            )

    def check_links(self, content: MessageContent) -> None:
        """Refuse to send what names an unsubscribe link while there is none; a draft may wait for the settings."""
        check_links(content, missing_settings(self._public_url, self._secret_key))

    async def _someone(self, connection: Connection, audience: Audience, contact_id: int | None) -> ClaimedRecipient:
        """Return a contact as a recipient: the one asked for, or the first of the audience, or nobody in particular."""
        if contact_id is not None:
            contact: Contact | None = await contacts.get_contact(connection, contact_id)
        else:
            contact = next(iter(await audiences.first(connection, audience)), None)
        if contact is None:
            return ClaimedRecipient(0, "somebody@example.com", 1, None, {})
        return ClaimedRecipient(contact.id, contact.address, 1, contact.time_zone, contact.attributes)


class _Always:
    """The permit of a test email: nobody can stop it."""

    def may_start(self) -> bool:
        return True

    def may_write_body(self) -> bool:
        return True


async def _place(connection: Connection, after: str) -> messages.Place:
    """Return the place that the `next` of a page, or the id of a message, stands for. Raises NotFound."""
    place = messages.Place.read(after) or await messages.place_of(connection, after)
    if place is None:
        raise NotFound(f"There is no message {id_shown(after)} to go on after.", id=after)
    return place


def content_of(message: Message) -> MessageContent:
    """Return what a message says and to whom, without what has become of it."""
    return MessageContent(**{field: getattr(message, field) for field in MessageContent.model_fields})
