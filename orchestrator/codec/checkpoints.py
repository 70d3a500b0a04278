"""Checkpoints as the wire shows them."""

from agents.history import CheckpointView
from orchestrator.conversations import CheckpointPage
from protos import orchestrator_pb2 as pb


def response(page: CheckpointPage, next_page_token: str) -> pb.ListCheckpointsResponse:
    infos = [_info(view) for view in page.checkpoints]
    if infos and page.has_head:
        infos[0].head = True
    return pb.ListCheckpointsResponse(checkpoints=infos, next_page_token=next_page_token)


def _info(view: CheckpointView) -> pb.CheckpointInfo:
    info = pb.CheckpointInfo(
        checkpoint_id=view.checkpoint_id,
        parent_checkpoint_id=view.parent_checkpoint_id,
        step=view.step,
        next_nodes=view.next_nodes,
        run_id=view.run_id,
        preview=view.preview,
    )
    info.create_time.FromDatetime(view.create_time)
    return info
