"""What the commands deploy, doctor and destroy do: template, wheelhouse, uploads, findings.

Put here work on the AWS account and on this machine that happens outside of runs. Clusters and
steps live in `fruit_assets/emr/`, printing and asking in `fruit_assets/cli/`.
"""
