"""Azure behind the port: reservations and savings plans; translation only.

Nothing of Azure's SDKs is imported until ``cloud.azure_cloud`` is asked for.
"""
