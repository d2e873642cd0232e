// Everything in Azure that Scoreline needs: a cluster with its network, machines and identities, a registry,
// a Key Vault, monitoring, and on demand Azure Managed Redis, Microsoft Defender and a DDoS plan.
//
// `npm run manifests` writes the parameters from the values (aks.parameters.json), so manifests and machines
// fit each other. The output `values` is what the values file then needs. docs/aks.md goes through all steps.

// --- Parameters that the values decide ---------------------------------------------------------------

@description('What the names of the resources begin with.')
param name string

@description('The region of all resources.')
param location string

@description('The accounts of pods that may act as the identity: system:serviceaccount:NAMESPACE:NAME.')
param podAccounts array

@description('The pools of machines, with name, machine, min, max, mode, isSpot, labels and taints.')
param pools array

@description('How the cluster autoscaler chooses among pools.')
@allowed([
  'least-waste'
  'priority'
])
param expander string

@description('Azure Managed Redis: name, sku and clusteringPolicy. Empty if Redis is elsewhere.')
param managedRedis object

@description('The Entra ID groups whose members administer the cluster.')
param adminGroups array

@description('The Entra ID groups whose members may get at the cluster; roles in it decide about the rest.')
param userGroups array

@description('The addresses from which the API of the cluster can be reached. Any, if there are none.')
param apiServerRanges array

@description('Whether Microsoft Defender watches the cluster. It is paid for by the processor.')
param hasDefender bool

@description('Whether a DDoS network protection plan is made. It costs thousands a month, for up to 100 addresses.')
param hasDdosPlan bool

// --- Parameters for the command line -----------------------------------------------------------------

@description('The password of Redis in the cluster, for the Key Vault. If empty, the present one stays.')
@secure()
param redisPassword string = ''

@description('The minor version of Kubernetes. If empty, Azure chooses.')
param kubernetesVersion string = ''

var unique = uniqueString(resourceGroup().id)
var hasManagedRedis = !empty(managedRedis)

// Built-in roles have the same ids everywhere.
var roles = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  clusterAdmin: 'b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b'
  clusterUser: '4abbcc35-e782-43d8-92c5-2d3f1bd2253f'
  networkContributor: '4d97b98b-1d4f-4787-a291-c67834d212e7'
  secretsUser: '4633458b-17de-408a-a6c6-9cb5c3b43dd9'
}

// --- Network -----------------------------------------------------------------------------------------

resource ddosPlan 'Microsoft.Network/ddosProtectionPlans@2026-03-01' = if (hasDdosPlan) {
  name: '${name}-ddos'
  location: location
  properties: {}
}

resource network 'Microsoft.Network/virtualNetworks@2026-03-01' = {
  name: '${name}-network'
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.224.0.0/16'
      ]
    }
    enableDdosProtection: hasDdosPlan
    ddosProtectionPlan: hasDdosPlan ? { id: ddosPlan.id } : null
    subnets: [
      {
        name: 'machines'
        properties: {
          addressPrefix: '10.224.0.0/20'
        }
      }
    ]
  }
}

resource machines 'Microsoft.Network/virtualNetworks/subnets@2026-03-01' existing = {
  parent: network
  name: 'machines'
}

// --- Identities --------------------------------------------------------------------------------------

// The cluster itself: it puts machines and load balancers into the network.
resource clusterIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-cluster'
  location: location
}

// The pods: they read the Key Vault, and nothing else.
resource podIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-pods'
  location: location
}

resource clusterOnNetwork 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(machines.id, clusterIdentity.id, roles.networkContributor)
  scope: machines
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.networkContributor)
    principalId: clusterIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// Azure refuses two changes of one identity at a time.
@batchSize(1)
resource podCredentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [
  for account in podAccounts: {
    parent: podIdentity
    name: replace(replace(account, 'system:serviceaccount:', ''), ':', '-')
    properties: {
      issuer: cluster.properties.oidcIssuerProfile.issuerURL
      subject: account
      audiences: [
        'api://AzureADTokenExchange'
      ]
    }
  }
]

// --- Monitoring --------------------------------------------------------------------------------------

resource logs 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
  }
}

resource metrics 'Microsoft.Monitor/accounts@2023-04-03' = {
  name: '${name}-metrics'
  location: location
}

resource metricsEndpoint 'Microsoft.Insights/dataCollectionEndpoints@2023-03-11' = {
  name: '${name}-metrics'
  location: location
  kind: 'Linux'
  properties: {}
}

resource metricsRule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: '${name}-metrics'
  location: location
  kind: 'Linux'
  properties: {
    dataCollectionEndpointId: metricsEndpoint.id
    dataSources: {
      prometheusForwarder: [
        {
          name: 'PrometheusDataSource'
          streams: [
            'Microsoft-PrometheusMetrics'
          ]
          labelIncludeFilter: {}
        }
      ]
    }
    destinations: {
      monitoringAccounts: [
        {
          name: 'metrics'
          accountResourceId: metrics.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Microsoft-PrometheusMetrics'
        ]
        destinations: [
          'metrics'
        ]
      }
    ]
  }
}

resource metricsOfCluster 'Microsoft.Insights/dataCollectionRuleAssociations@2023-03-11' = {
  name: 'ContainerInsightsMetricsExtension'
  scope: cluster
  properties: {
    dataCollectionRuleId: metricsRule.id
  }
}

// Lines of the pods, events and what the pods are, but no metrics: those are in Prometheus.
resource logsRule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: '${name}-logs'
  location: location
  kind: 'Linux'
  properties: {
    dataSources: {
      extensions: [
        {
          name: 'ContainerInsightsExtension'
          extensionName: 'ContainerInsights'
          streams: logStreams
          extensionSettings: {
            dataCollectionSettings: {
              interval: '1m'
              namespaceFilteringMode: 'Off'
              enableContainerLogV2: true
            }
          }
        }
      ]
    }
    destinations: {
      logAnalytics: [
        {
          name: 'logs'
          workspaceResourceId: logs.id
        }
      ]
    }
    dataFlows: [
      {
        streams: logStreams
        destinations: [
          'logs'
        ]
      }
    ]
  }
}

var logStreams = [
  'Microsoft-ContainerLogV2'
  'Microsoft-KubeEvents'
  'Microsoft-KubePodInventory'
  'Microsoft-KubeNodeInventory'
]

resource logsOfCluster 'Microsoft.Insights/dataCollectionRuleAssociations@2023-03-11' = {
  name: 'ContainerInsightsExtension'
  scope: cluster
  properties: {
    dataCollectionRuleId: logsRule.id
  }
}

// --- Cluster -----------------------------------------------------------------------------------------

resource cluster 'Microsoft.ContainerService/managedClusters@2026-05-01' = {
  name: '${name}-aks'
  location: location
  sku: {
    name: 'Base'
    tier: 'Standard'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${clusterIdentity.id}': {}
    }
  }
  properties: {
    dnsPrefix: name
    kubernetesVersion: empty(kubernetesVersion) ? null : kubernetesVersion
    // People sign in with Entra ID, and there is no other way in.
    disableLocalAccounts: true
    enableRBAC: true
    aadProfile: {
      managed: true
      enableAzureRBAC: true
      tenantID: tenant().tenantId
    }
    apiServerAccessProfile: {
      authorizedIPRanges: apiServerRanges
    }
    oidcIssuerProfile: {
      enabled: true
    }
    securityProfile: {
      workloadIdentity: {
        enabled: true
      }
      imageCleaner: {
        enabled: true
        intervalHours: 168
      }
      defender: {
        logAnalyticsWorkspaceResourceId: hasDefender ? logs.id : null
        securityMonitoring: {
          enabled: hasDefender
        }
      }
    }
    // Cilium enforces the network policies.
    networkProfile: {
      networkPlugin: 'azure'
      networkPluginMode: 'overlay'
      networkDataplane: 'cilium'
      networkPolicy: 'cilium'
      loadBalancerSku: 'standard'
      outboundType: 'loadBalancer'
      podCidr: '10.244.0.0/16'
      serviceCidr: '10.0.0.0/16'
      dnsServiceIP: '10.0.0.10'
    }
    workloadAutoScalerProfile: {
      keda: {
        enabled: true
      }
    }
    autoScalerProfile: {
      expander: expander
      'scale-down-unneeded-time': '10m'
    }
    // The same as `az aks approuting gateway istio enable`.
    ingressProfile: {
      gatewayAPI: {
        installation: 'Standard'
      }
      webAppRouting: {
        gatewayAPIImplementations: {
          appRoutingIstio: {
            mode: 'Enabled'
          }
        }
      }
    }
    addonProfiles: {
      azureKeyvaultSecretsProvider: {
        enabled: true
        config: {
          enableSecretRotation: 'true'
          rotationPollInterval: '2m'
        }
      }
      omsagent: {
        enabled: true
        config: {
          logAnalyticsWorkspaceResourceID: logs.id
          useAADAuth: 'true'
        }
      }
    }
    azureMonitorProfile: {
      metrics: {
        enabled: true
        kubeStateMetrics: {
          metricLabelsAllowlist: 'pods=[scoreline/model,scoreline/version]'
          metricAnnotationsAllowList: ''
        }
      }
    }
    autoUpgradeProfile: {
      upgradeChannel: 'patch'
      nodeOSUpgradeChannel: 'NodeImage'
    }
    agentPoolProfiles: [
      for pool in pools: {
        name: pool.name
        vmSize: pool.machine
        mode: pool.mode
        type: 'VirtualMachineScaleSets'
        osType: 'Linux'
        osSKU: 'Ubuntu'
        enableAutoScaling: true
        count: pool.min
        minCount: pool.min
        maxCount: pool.max
        vnetSubnetID: machines.id
        scaleSetPriority: pool.isSpot ? 'Spot' : 'Regular'
        scaleSetEvictionPolicy: pool.isSpot ? 'Delete' : null
        // -1: never more than the regular price.
        spotMaxPrice: pool.isSpot ? -1 : null
        nodeLabels: pool.labels
        nodeTaints: pool.taints
      }
    ]
  }
  dependsOn: [
    clusterOnNetwork
  ]
}

resource administrators 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for group in adminGroups: {
    name: guid(cluster.id, group, roles.clusterAdmin)
    scope: cluster
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.clusterAdmin)
      principalId: group
      principalType: 'Group'
    }
  }
]

resource users 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for group in union(adminGroups, userGroups): {
    name: guid(cluster.id, group, roles.clusterUser)
    scope: cluster
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.clusterUser)
      principalId: group
      principalType: 'Group'
    }
  }
]

// --- Registry ----------------------------------------------------------------------------------------

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: 'registry${unique}'
  location: location
  sku: {
    name: 'Standard'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

// The machines pull as this identity, so the pods need no password.
resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, cluster.id, roles.acrPull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
    principalId: cluster.properties.identityProfile.kubeletidentity.objectId
    principalType: 'ServicePrincipal'
  }
}

// --- Key Vault ---------------------------------------------------------------------------------------

// Without protection from purging, because it has nothing that could not be made again, and a service that
// was taken down can come back under its name (docs/aks.md).
resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: 'vault-${unique}'
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
  }
}

resource readSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, podIdentity.id, roles.secretsUser)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
    principalId: podIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// k8s/key-vault.ts mounts this secret. One of the two is made.
resource clusterRedisPassword 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (!empty(redisPassword) && !hasManagedRedis) {
  parent: vault
  name: 'redis-password'
  properties: {
    contentType: 'text/plain'
    value: redisPassword
  }
}

resource managedRedisPassword 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (hasManagedRedis) {
  parent: vault
  name: 'redis-password'
  properties: {
    contentType: 'text/plain'
    value: hasManagedRedis ? database.listKeys().primaryKey : ''
  }
}

resource connectionString 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = {
  parent: vault
  name: 'applicationinsights-connection-string'
  properties: {
    contentType: 'text/plain'
    value: applicationInsights.properties.ConnectionString
  }
}

// --- Azure Managed Redis -----------------------------------------------------------------------------

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' = if (hasManagedRedis) {
  name: hasManagedRedis ? managedRedis.name : 'none'
  location: location
  sku: {
    name: hasManagedRedis ? managedRedis.sku : 'Balanced_B1'
  }
  properties: {
    highAvailability: 'Enabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

// KEDA's scaler needs the access key. Nothing that waits may be dropped, or lost in a restart.
resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = if (hasManagedRedis) {
  parent: redis
  name: 'default'
  properties: {
    clientProtocol: 'Encrypted'
    port: 10000
    clusteringPolicy: hasManagedRedis ? managedRedis.clusteringPolicy : 'NoCluster'
    evictionPolicy: 'NoEviction'
    accessKeysAuthentication: 'Enabled'
    persistence: {
      aofEnabled: true
      aofFrequency: '1s'
    }
  }
}

// --- What comes out ----------------------------------------------------------------------------------

@description('Goes into the values file.')
output values object = {
  azure: {
    tenantId: tenant().tenantId
    clientId: podIdentity.properties.clientId
    keyVault: vault.name
  }
}

@description('Where the images go: REGISTRY/api:TAG and so on.')
output registry string = registry.properties.loginServer

@description('For az aks get-credentials and the like.')
output cluster string = cluster.name

@description('The host of Azure Managed Redis, as the values name it; empty without one.')
output redisHost string = hasManagedRedis ? redis.properties.hostName : ''

@description('The address of the secret with the connection string of Application Insights.')
output connectionStringSecret string = connectionString.properties.secretUri

@description('The workspaces, for queries: customer id of the logs, address of the metrics.')
output logsWorkspace string = logs.properties.customerId

@description('Where Prometheus is asked.')
output metricsAddress string = metrics.properties.metrics.prometheusQueryEndpoint
