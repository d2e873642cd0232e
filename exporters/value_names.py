"""The names of a network's inputs and outputs: as the original has them, and distinct."""

import onnx

from program import note


def distinct(outputs, inputs):
    """Returns names of outputs that are those of no input, and of no other output. None stays as it is."""
    names, taken = [], set(inputs)
    for name in outputs:
        new = name and unique(name, taken, "_output")
        if new != name:
            note(f"the output {name} is called {new}, since an input or another output has its name")
        names.append(new)
        taken.add(new)
    return names


def name_values(model, inputs, outputs):
    """Gives the inputs and outputs of a network distinct names. None keeps a name."""
    graph = model.graph
    part_outputs(graph)
    pairs = zip([*graph.input, *graph.output], [*inputs, *outputs], strict=True)
    names = {value.name: name for value, name in pairs if name is not None}
    known = names_in(graph)
    for name in known & set(names.values()) - names.keys():
        names[name] = unique(f"{name}_inside", known | set(names.values()), "_")
    rename(graph, names)


def part_outputs(graph):
    """Makes each output a value of its own. It may be an input, a constant or another output, too."""
    taken = {value.name for value in [*graph.input, *graph.initializer]}
    known = names_in(graph)
    for value in graph.output:
        if value.name in taken:
            name = unique(f"{value.name}_output", known, "_")
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [name]))
            value.name = name
            known.add(name)
        taken.add(value.name)


def unique(name, taken, suffix):
    while name in taken:
        name += suffix
    return name


def graphs_in(graph):
    """Yields a graph, and those of its branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from graphs_in(inner)


def values_in(graph):
    return [*graph.input, *graph.output, *graph.value_info, *graph.initializer]


def names_in(graph):
    graphs = list(graphs_in(graph))
    nodes = {name for each in graphs for node in each.node for name in [*node.input, *node.output]}
    return nodes | {value.name for each in graphs for value in values_in(each)}


def rename(graph, names):
    for each in graphs_in(graph):
        for node in each.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in values_in(each):
            value.name = names.get(value.name, value.name)
