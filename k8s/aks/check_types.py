"""Checks main.bicep against the types that Azure publishes with its SDKs for Python.

No package has the compiler of Bicep. So the file is parsed (pycep), and then every resource is compared with the model
of its type: the version of the API, the name of each property, the kind of its value, and, for texts, the values
that an enumeration allows. Symbols that nothing declares are found, too. Run: npm run aks:check
"""

import copy
import importlib
import inspect
import re
import sys
from enum import Enum
from pathlib import Path

from pycep import BicepParser

FILE = Path(__file__).with_name("main.bicep")

# By type: the package, the module with the models, and the model.
MODELS = {
    "Microsoft.Authorization/roleAssignments": ("authorization", "v2022_04_01.models", "RoleAssignmentCreateParameters"),
    "Microsoft.Cache/redisEnterprise": ("redisenterprise", "models", "Cluster"),
    "Microsoft.Cache/redisEnterprise/databases": ("redisenterprise", "models", "Database"),
    "Microsoft.ContainerRegistry/registries": ("containerregistry", "models", "Registry"),
    "Microsoft.ContainerService/managedClusters": ("containerservice", "models", "ManagedCluster"),
    "Microsoft.Insights/components": ("applicationinsights", "v2020_02_02.models", "ApplicationInsightsComponent"),
    "Microsoft.Insights/dataCollectionEndpoints": ("monitor", "models", "DataCollectionEndpointResource"),
    "Microsoft.Insights/dataCollectionRules": ("monitor", "models", "DataCollectionRuleResource"),
    "Microsoft.Insights/dataCollectionRuleAssociations": ("monitor", "models", "DataCollectionRuleAssociationProxyOnlyResource"),
    "Microsoft.KeyVault/vaults": ("keyvault", "models", "VaultCreateOrUpdateParameters"),
    "Microsoft.KeyVault/vaults/secrets": ("keyvault", "models", "SecretCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "v2024_11_30.models", "Identity"),
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": ("msi", "v2024_11_30.models", "FederatedIdentityCredential"),
    "Microsoft.Monitor/accounts": ("monitor", "models", "AzureMonitorWorkspaceResource"),
    "Microsoft.Network/ddosProtectionPlans": ("network", "models", "DdosProtectionPlan"),
    "Microsoft.Network/virtualNetworks": ("network", "models", "VirtualNetwork"),
    "Microsoft.Network/virtualNetworks/subnets": ("network", "models", "Subnet"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "models", "Workspace"),
}

# What a resource of Bicep has beside the properties of its model.
OF_BICEP = {"name", "scope", "parent", "dependsOn", "location"}

# Enumerations of older SDKs, whose models say no more than that a property is a text.
OLD_ENUMS = {"publicNetworkAccess": None, "minimumTlsVersion": "TlsVersion", "clientProtocol": "Protocol", "kind": None, "name": None}


def fields_of(model):
    """Returns the properties of a model by their names in the API, each with the text of its type."""
    if hasattr(model, "_attribute_map"):
        return {value["key"].replace("\\\\.", "\0"): value["type"] for value in model._attribute_map.values()}
    found = {}
    for base in reversed(model.__mro__):
        for name, field in vars(base).items():
            if type(field).__name__ == "_RestField":
                found[field._rest_name_input or name] = str(base.__annotations__.get(name))
    return found


def nested(fields):
    """Older SDKs flatten properties: `properties.publicNetworkAccess`. Returns them as a tree."""
    tree = {}
    for name, kind in fields.items():
        *parents, last = name.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        if isinstance(place, dict):
            place.setdefault(last, kind)
    return tree


class Checker:
    """Collects the faults of a parsed file."""

    def __init__(self, parsed):
        self.parsed = parsed
        self.faults = []
        self.compared = 0
        self.symbols = {
            *parsed.get("parameters", {}),
            *parsed.get("variables", {}),
            *parsed.get("resources", {}),
        }

    def check(self):
        for symbol, resource in self.parsed["resources"].items():
            self.check_resource(symbol, resource)
        self.check_symbols("", self.parsed, set())
        return self.faults

    def fault(self, place, text):
        self.faults.append(f"{place}: {text}")

    def check_resource(self, symbol, resource):
        if resource["type"] not in MODELS:
            return self.fault(symbol, f"the type {resource['type']} has no model in check_types.py")
        package, module, name = MODELS[resource["type"]]
        home = importlib.import_module(f"azure.mgmt.{package}")
        if not is_published(home, resource["api_version"]):
            self.fault(symbol, f"azure-mgmt-{package} knows no version {resource['api_version']}")
        models = importlib.import_module(f"azure.mgmt.{package}.{module}")
        if resource["existing"]:
            return None
        body = body_of(resource["config"])
        known = {key: value for key, value in body.items() if key not in OF_BICEP or key == "location"}
        self.compare(symbol, known, nested(fields_of(getattr(models, name))), models)

    def compare(self, place, value, fields, models):
        """Compares an object with the fields of its model."""
        for key, each in value.items():
            key = key.strip("'")
            here = f"{place}.{key}"
            self.compared += 1
            if key == "location" and key not in fields:
                continue
            if key not in fields:
                self.fault(here, f"no such property; there are {', '.join(sorted(fields))}")
            else:
                self.compare_value(here, key, each, fields[key], models)

    def compare_value(self, place, key, value, kind, models):
        if isinstance(kind, dict):
            return self.compare(place, value, kind, models) if isinstance(value, dict) else None
        for each in branches(value):
            if isinstance(each, list):
                if not re.search(r"\[", kind) or kind.startswith("{"):
                    self.fault(place, f"expected {kind}, got a list")
                for index, item in enumerate(each):
                    if isinstance(item, dict):
                        self.compare_object(f"{place}[{index}]", key, item, kind, models)
            elif isinstance(each, dict):
                self.compare_object(place, key, each, kind, models)
            else:
                self.compare_scalar(place, key, each, kind, models)
        return None

    def compare_object(self, place, key, value, kind, models):
        model = model_in(kind, models)
        if model is not None and re.search(r"dict\[|^\{", kind):
            # Any name, and this model behind each.
            for name, each in value.items():
                self.compare(f"{place}.{name}", each, nested(fields_of(model)), models)
        elif model is not None:
            self.compare(place, value, nested(fields_of(model)), models)
        elif not re.search(r"dict\[|\{|object|Any", kind):
            self.fault(place, f"expected {kind}, got an object")

    def compare_scalar(self, place, key, value, kind, models):
        if isinstance(value, bool) and "bool" not in kind:
            self.fault(place, f"expected {kind}, got {value}")
        if isinstance(value, int) and not isinstance(value, bool) and not re.search(r"int|float", kind):
            self.fault(place, f"expected {kind}, got {value}")
        if not isinstance(value, str) or value in self.symbols or "${" in value:
            return
        if re.search(r"bool|int\b|float", kind) and not re.search(r"str\b", kind):
            return self.fault(place, f"expected {kind}, got {value}")
        allowed = enum_for(key, kind, models)
        if allowed and value not in allowed:
            self.fault(place, f"expected one of {', '.join(sorted(allowed))}, got {value}")

    def check_symbols(self, place, node, loops):
        """Finds accesses such as `logs.id` to symbols that nothing declares."""
        if isinstance(node, list):
            for each in node:
                self.check_symbols(place, each, loops)
        if not isinstance(node, dict):
            return
        if "loop_type" in node:
            loops = {*loops, node["loop_type"]["detail"]["item_name"]}
            array = node["loop_type"]["detail"]["array_name"]
            if isinstance(array, str) and array not in self.symbols:
                self.fault(place, f"nothing declares {array}")
        if node.get("type") == "property_accessor":
            first = node["operands"]["operand_1"]
            if isinstance(first, str) and first not in self.symbols | loops:
                self.fault(place, f"nothing declares {first}")
            return self.check_symbols(place, first, loops)
        for key, each in node.items():
            self.check_symbols(f"{place}.{key}".strip("."), each, loops)
        return None


def body_of(config):
    """Returns the object of a resource, without the loop or the condition around it."""
    while "config" in config and set(config) <= {"loop_type", "condition", "config"}:
        config = config["config"]
    return config


def branches(value):
    """Returns the values that an expression may have, as far as they are written there."""
    if isinstance(value, dict) and "loop_type" in value:
        return [[body_of(value)]]
    if isinstance(value, dict) and set(value) == {"operator"}:
        operator = value["operator"]
        if operator["type"] == "conditional":
            operands = operator["operands"]
            return [*branches(operands["true_value"]), *branches(operands["false_value"])]
        return []
    if isinstance(value, dict) and set(value) == {"function"}:
        return []
    return [] if value is None else [value]


def model_in(kind, models):
    """Returns the model that a type names, or None if it names none."""
    for name in reversed(re.findall(r"[A-Z]\w+", kind)):
        model = getattr(models, name, None)
        if inspect.isclass(model) and not issubclass(model, Enum):
            return model
    return None


def enum_for(key, kind, models):
    names = re.findall(r"[A-Z]\w+", kind)
    if kind == "str":
        names = [OLD_ENUMS.get(key, key[0].upper() + key[1:]) or ""]
    for name in names:
        found = getattr(models, name, None)
        if inspect.isclass(found) and issubclass(found, Enum):
            return {each.value for each in found}
    return None


def is_published(package, version):
    folder = Path(package.__file__).parent
    if (folder / f"v{version.replace('-', '_')}").is_dir():
        return True
    return any(f'"{version}"' in file.read_text() for file in folder.rglob("*.py"))


def check(parsed):
    checker = Checker(parsed)
    return checker.check(), checker.compared


def check_itself(parsed):
    """Breaks the file in ways that must be found. A check that finds nothing is worth nothing."""
    def broken(change):
        other = copy.deepcopy(parsed)
        change(other["resources"])
        return not check(other)[0]

    def properties(resources, symbol):
        return body_of(resources[symbol]["config"])["properties"]

    changes = {
        "a property": lambda all_: properties(all_, "cluster").update(disableLocalAcounts=True),
        "a property inside": lambda all_: properties(all_, "cluster")["aadProfile"].update(azureRBAC=True),
        "a property in a loop": lambda all_: properties(all_, "cluster")["agentPoolProfiles"]["config"].update(vmsize="x"),
        "a flattened property": lambda all_: properties(all_, "database").update(clusterPolicy="NoCluster"),
        "a value": lambda all_: properties(all_, "cluster")["networkProfile"].update(networkPolicy="celium"),
        "an old value": lambda all_: properties(all_, "database").update(evictionPolicy="NeverEvict"),
        "a kind": lambda all_: properties(all_, "cluster").update(disableLocalAccounts="yes"),
        "a version": lambda all_: all_["cluster"].update(api_version="2026-05-31"),
        "a symbol": lambda all_: all_.pop("logs"),
    }
    return [f"the check is blind to {what} that is wrong" for what, change in changes.items() if broken(change)]


def main():
    parsed = BicepParser().parse(text=FILE.read_text())
    faults, compared = check(parsed)
    faults += check_itself(parsed)
    for fault in faults:
        print(f"main.bicep: {fault}", file=sys.stderr)
    resources = parsed["resources"]
    print(f"{len(resources)} resources with {compared} properties compared with Azure's types, {len(faults)} wrong")
    sys.exit(1 if faults else 0)


main()
