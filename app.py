"""Composition only: one Chalice app, every blueprint registered once. The rooms are in ``chalicelib``."""

from chalice.app import Chalice

from chalicelib.edge import (
    archive_schedule,
    assignments_queue,
    audit_api,
    authorizer,
    cases_api,
    compliance_api,
    compliance_queue,
    dispatch_queue,
    due_schedule,
    duties_api,
    events_stream,
    exports_queue,
    house_rules_api,
    kpi_schedule,
    kpis_api,
    messages_api,
    organisations_api,
    persons_api,
    portfolio_chunks_queue,
    portfolio_uploads_queue,
    portfolios_api,
    provider_events_queue,
    review_packs_api,
    service_api,
    simulations_api,
    simulations_queue,
    strategies_api,
    templates_api,
)
from chalicelib.edge.http import native_errors_as_problems

app = Chalice(app_name="forbear", configure_logs=False)
app.register_middleware(native_errors_as_problems, "http")
for module in (
    authorizer,
    organisations_api,
    portfolios_api,
    cases_api,
    persons_api,
    messages_api,
    compliance_api,
    house_rules_api,
    duties_api,
    kpis_api,
    review_packs_api,
    audit_api,
    simulations_api,
    strategies_api,
    templates_api,
    service_api,
    portfolio_uploads_queue,
    portfolio_chunks_queue,
    assignments_queue,
    compliance_queue,
    dispatch_queue,
    provider_events_queue,
    simulations_queue,
    exports_queue,
    events_stream,
    due_schedule,
    kpi_schedule,
    archive_schedule,
):
    app.register_blueprint(module.bp)
