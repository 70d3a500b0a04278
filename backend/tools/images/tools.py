"""GenerateImage by an images endpoint as OpenAI has it."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.tools.images.formats import MEDIA_TYPES, NoImageError, shape_of
from backend.tools.images.store import ImageStore, MadeImage
from backend.tools.outside import OutsideService, RefusedRequestError
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, UnavailableError

IMAGES_PATH = "/images"

_SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")
_LARGEST_SIDE = 4096
_MOST_PROMPT = 4000
_MOST_REASON = 300


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """`model` and `size` are what is asked for unless a request says otherwise.

    `asks_for_data`: whether to send `response_format` = `b64_json`, which some endpoints demand and others
    refuse.
    """

    model: str
    size: str = "1024x1024"
    asks_for_data: bool = True
    most_images: int = 4
    max_image_bytes: int = 8 << 20


class ImageTools:
    """A part: makes images and keeps them for their user, below `/images`."""

    def __init__(self, service: OutsideService, store: ImageStore, options: ImageOptions) -> None:
        self._service = service
        self._store = store
        self._options = options

    async def generate_image(
        self, call: Call, request: pb.ImageGenerationRequest
    ) -> pb.ImageGenerationResponse:
        """Make images. Raises: ToolServiceError."""
        body = self._body(request)
        answered = pb.ImageGenerationResponse(
            model=self._options.model, prompt=body["prompt"], size=body["size"]
        )
        try:
            answer = await self._service.post("/images/generations", body)
        except RefusedRequestError as error:
            answered.error = _reason(error.answer)
            return answered
        images = self._images(answer)
        ids = await self._store.add(call.user, body["prompt"], self._options.model, images)
        answered.images.extend(_told(key, image) for key, image in zip(ids, images, strict=True))
        answered.format = images[0].shape.format
        answered.success = True
        return answered

    def _body(self, request: pb.ImageGenerationRequest) -> dict[str, Any]:
        options = self._options
        prompt = request.prompt.strip()
        if not prompt or len(prompt) > _MOST_PROMPT:
            raise InvalidArgumentError(f"prompt has 1 to {_MOST_PROMPT} characters", field="prompt")
        if request.num_images > options.most_images:
            raise InvalidArgumentError(f"num_images is at most {options.most_images}", field="num_images")
        if request.negative_prompt.strip():
            # The endpoint has no field for it, and one that it does not know might be ignored unseen.
            prompt = f"{prompt}\n\nNot in the image: {request.negative_prompt.strip()}"
        body: dict[str, Any] = {
            "model": options.model,
            "prompt": prompt,
            "n": request.num_images or 1,
            "size": _size(request.size or options.size),
        }
        if options.asks_for_data:
            body["response_format"] = "b64_json"
        if request.format:
            body["output_format"] = _format(request.format)
        if request.HasField("seed"):
            body["seed"] = request.seed
        return body

    def _images(self, answer: Mapping[str, Any]) -> Sequence[MadeImage]:
        given = answer.get("data")
        if not isinstance(given, list) or not given:
            raise UnavailableError("The image service answers without an image.")
        return [self._image(one) for one in given[: self._options.most_images]]

    def _image(self, given: object) -> MadeImage:
        data = given.get("b64_json") if isinstance(given, dict) else None
        if not isinstance(data, str):
            # An address would be one to fetch, and the image would be gone when it expires.
            raise UnavailableError("The image service answers without the image's data.")
        try:
            content = base64.b64decode(data, validate=True)
            shape = shape_of(content)
        except (binascii.Error, NoImageError) as error:
            raise UnavailableError("The image service answers with what is no image.") from error
        if len(content) > self._options.max_image_bytes:
            raise UnavailableError("The image service answers with an image that is too large.")
        return MadeImage(content, shape)


def _size(text: str) -> str:
    found = _SIZE.fullmatch(text)
    if found is None or max(int(found[1]), int(found[2])) > _LARGEST_SIDE:
        raise InvalidArgumentError(
            f"size is width x height, as 1024x1024, up to {_LARGEST_SIDE} each", field="size"
        )
    return text


def _format(text: str) -> str:
    name = {"jpg": "jpeg"}.get(text.lower(), text.lower())
    if name not in MEDIA_TYPES:
        raise InvalidArgumentError(f"format is one of {', '.join(MEDIA_TYPES)}", field="format")
    return name


def _told(image_id: str, image: MadeImage) -> pb.GeneratedImage:
    shape = image.shape
    filename = f"{image_id}.{shape.format}"
    return pb.GeneratedImage(
        filename=filename,
        path=f"{IMAGES_PATH}/{filename}",
        url=f"{IMAGES_PATH}/{filename}",
        width=shape.width,
        height=shape.height,
        format=shape.format,
    )


def _reason(answer: object) -> str:
    # What OpenAI-compatible services say about a prompt that they refuse; it is about the request only.
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    said = str(message)[:_MOST_REASON] if message else "it does not say why"
    return f"The image service refuses this request: {said}"
