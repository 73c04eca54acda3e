"""The panels of the page, in the order in which they hear of a change. A new one is one line."""

from vortex_viewer.panels.address import Address
from vortex_viewer.panels.answer import Answer
from vortex_viewer.panels.crop import Crop
from vortex_viewer.panels.display import Display
from vortex_viewer.panels.domains import DomainsPanel
from vortex_viewer.panels.export import Export
from vortex_viewer.panels.finetune import FineTune
from vortex_viewer.panels.genes import GeneList
from vortex_viewer.panels.habits import Habits
from vortex_viewer.panels.legend import Legend
from vortex_viewer.panels.measured import Measured
from vortex_viewer.panels.pick import Pick
from vortex_viewer.panels.piece import Piece
from vortex_viewer.panels.readout import Readout
from vortex_viewer.panels.regions import Regions
from vortex_viewer.panels.study import StudyBar
from vortex_viewer.panels.view import View
from vortex_viewer.panels.views import Views

PANELS: tuple[type[Piece], ...] = (
    StudyBar,
    Address,
    Views,
    Export,
    Habits,
    GeneList,
    View,
    Legend,
    Display,
    Crop,
    Measured,
    Pick,
    Regions,
    DomainsPanel,
    FineTune,
    Readout,
    Answer,
)
