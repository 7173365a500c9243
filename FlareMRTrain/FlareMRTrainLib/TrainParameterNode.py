"""What the user chose, as a node that is saved with the scene.

Imported when the widget is set up, as FlareMRSeg's.
"""

from slicer.parameterNodeWrapper import parameterNodeWrapper


@parameterNodeWrapper
class FlareMRTrainParameterNode:
    """What all tabs share.

    Attributes:
        storeFolder: where artifacts and runs lie; empty for the one used last.
        runFolder: the run that is shown; empty for the newest of the store.
        manifest: data set, a JSON file.
        dataFolder: where file patterns of recipes start.
        recipe: name, or path of a .toml file.
        preset: size of the recipe.
        profile: reading of the recipe.
        device: ``"auto"``, ``"cpu"``, ``"cuda:N"`` or ``"mps"``.
        threads: processor threads; 0 for all.
    """

    storeFolder: str = ""
    runFolder: str = ""
    manifest: str = ""
    dataFolder: str = ""
    recipe: str = ""
    preset: str = "paper"
    profile: str = "paper"
    device: str = "auto"
    threads: int = 0
