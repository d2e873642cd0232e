"""What the check programs of networks share: they export small ones, and compare what comes of it."""

import sys

import onnx


def outcome(exporter, file, *flags):
    """Returns the names of the outputs of the ONNX file that an exporter writes, or its refusal."""
    path = file.with_name(f"{file.name}.onnx")
    sys.argv = ["exporter", str(file), str(path), *flags]
    try:
        exporter.main()
    except SystemExit as end:
        assert not path.exists(), f"{path} is left behind"
        return str(end.code)
    network = onnx.load(path)
    onnx.checker.check_model(network)
    return [output.name for output in network.graph.output]


def check(name, found, expected):
    """Fails if names are not these, or if a refusal is not one line with this text."""
    print(f"{name}: {found}")
    is_right = found == expected if isinstance(expected, list) else expected in found and "\n" not in found
    if not is_right:
        raise SystemExit(f"expected {expected!r} of {name}; got {found!r}")
