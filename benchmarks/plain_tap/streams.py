"""The plain tap's streams: the endpoints that tap-lev reads, each as the SDK would read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from benchmarks.plain_tap.client import PlainStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

OBJECT = th.ObjectType(additional_properties=True)
OBJECTS = th.ArrayType(OBJECT)
TEXTS = th.ArrayType(th.StringType)
KINDS: dict[str, type[th.JSONTypeHelper[Any]] | th.JSONTypeHelper[Any]] = {
    "integers": th.IntegerType,
    "numbers": th.NumberType,
    "texts": th.StringType,
    "flags": th.BooleanType,
    "moments": th.DateTimeType,
    "lists": TEXTS,
    "objects": OBJECT,
    "object_lists": OBJECTS,
}


def table(**columns: str) -> dict[str, Any]:
    """Build a schema from the names of the columns of each kind."""
    return th.PropertiesList(
        *(
            th.Property(name, KINDS[kind])
            for kind, names in columns.items()
            for name in names.split()
        )
    ).to_dict()


NOTE = {"texts": "text", "objects": "created_by", "moments": "created_at updated_at"}
VALUE = {
    "texts": "metric_key value_text value_type context summary period_type period_value "
    "entity_type entity_ref group_ref",
    "objects": "source",
}


class PagedStream(PlainStream):
    """A list with pages and a bookmark."""

    primary_keys = ("id",)
    replication_key = "updated_at"
    paged = True


# -- Lists


class Deals(PagedStream):
    """Deals, with all that can be embedded in them."""

    name = "deals"
    path = "/deals"
    schema = table(
        integers="id owner_account_id",
        numbers="loan_amount",
        texts="title loan_type transaction_type business_plan description estimated_close_date "
        "close_date",
        flags="archived",
        moments="created_at updated_at archived_at",
        objects="financials",
        object_lists="properties team pipelines",
    )

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        params = super().get_url_params(context, next_page_token)
        return {**params, "include": "financials,properties,team,pipelines"}

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"deal_id": record["id"]}


class Placements(PagedStream):
    """Placements."""

    name = "placements"
    path = "/placements"
    schema = table(
        integers="id deal_id private_company_id contact_id",
        numbers="lev_score score",
        texts="lender_name contact_name status lender_status description outreach_date "
        "outreach_source visibility",
        moments="last_communication_date lender_first_response_date created_at updated_at",
    )

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"placement_id": record["id"]}


class Contacts(PagedStream):
    """Contacts."""

    name = "contacts"
    path = "/contacts"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType),
        th.Property("contact_type", th.StringType),
        th.Property("contact_types", TEXTS),
        th.Property("first_name", th.StringType),
        th.Property("last_name", th.StringType),
        th.Property("email", th.StringType),
        th.Property("title", th.StringType),
        th.Property("department", th.StringType),
        th.Property("address", th.StringType),
        th.Property("address2", th.StringType),
        th.Property("city", th.StringType),
        th.Property("state", th.StringType),
        th.Property("zip", th.StringType),
        th.Property("linkedin_url", th.StringType),
        th.Property("photo_url", th.StringType),
        th.Property(
            "phones",
            th.ArrayType(
                th.ObjectType(
                    th.Property("id", th.StringType),
                    th.Property("type", th.StringType),
                    th.Property("raw", th.StringType),
                    th.Property("country", th.StringType),
                    th.Property("e164", th.StringType),
                    th.Property("extension", th.StringType),
                )
            ),
        ),
        th.Property("is_primary", th.BooleanType),
        th.Property("owner_account_id", th.IntegerType),
        th.Property("is_connected", th.BooleanType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"contact_id": record["id"]}


class Companies(PagedStream):
    """Companies."""

    name = "companies"
    path = "/companies"
    schema = table(
        integers="id org_id owner_account_id",
        texts="name website address city state zip linkedin_url",
        flags="is_connected",
        moments="created_at updated_at",
    )

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"company_id": record["id"]}


class Lenders(PagedStream):
    """Lenders of the directory."""

    name = "lenders"
    path = "/lenders/directory"
    schema = table(
        integers="id",
        texts="name website logo_url address city state zip about category",
        lists="lender_type",
        moments="created_at updated_at",
    )

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"org_id": record["id"]}


class Pipelines(PlainStream):
    """Pipelines."""

    name = "pipelines"
    path = "/pipelines"
    primary_keys = ("id",)
    schema = table(
        integers="id owner_account_id order",
        texts="pipeline_type pipeline_name description",
        object_lists="statuses",
    )


class AssetTypes(PlainStream):
    """Asset types."""

    name = "asset_types"
    path = "/market/asset-types"
    primary_keys = ("id",)
    schema = table(integers="id", texts="description", lists="property_sub_types")


class BaseRates(PlainStream):
    """Base rates."""

    name = "base_rates"
    path = "/market/base-rates"
    primary_keys = ("code",)
    schema = table(texts="code name", numbers="rate")


class AccountTeamMembers(PlainStream):
    """Members of the account."""

    name = "account_team_members"
    path = "/account/team"
    primary_keys = ("user_id",)
    schema = table(integers="user_id", texts="first_name last_name email role title photo_url")


class CurrentUser(PlainStream):
    """The key's user."""

    name = "current_user"
    path = "/me"
    records_jsonpath = "$.data"
    schema = table(objects="user account profile subscription platform")


class Accounts(PlainStream):
    """Accounts of the key's user."""

    name = "accounts"
    path = "/me/accounts"
    primary_keys = ("id",)
    schema = table(integers="id", texts="name slug account_type")


class BillingSummary(PlainStream):
    """The account's subscription."""

    name = "billing_summary"
    path = "/billing/summary"
    records_jsonpath = "$.data"
    schema = table(objects="subscription credits")


class ApiKeys(PlainStream):
    """API keys of the account."""

    name = "api_keys"
    path = "/api-keys"
    primary_keys = ("id",)
    schema = table(integers="id", texts="label key_prefix", moments="created_at last_used_at")


# -- A call for each parent


class DealFinancials(PlainStream):
    """Financials of a deal."""

    name = "deal_financials"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/financials"
    primary_keys = ("id",)
    records_jsonpath = "$.data"
    schema = table(
        integers="id deal_id",
        numbers="purchase_price asking_price estimated_value in_place_noi stabilized_noi "
        "stabilized_value stabilized_occupancy going_in_cap_rate capex historical_capex land_cost "
        "total_cost total_cost_basis cost_basis_to_date imputed_land_value existing_debt "
        "estimated_cost_basis_if_refinance exchange_amount outstanding_loan_amount_at_closing "
        "investment_sales_brokerage_fee debt_placement_brokerage_fee environmental_cost "
        "appraisal_cost survey_cost snda_and_estoppel_cost estimated_borrower_counsel_cost "
        "estimated_lender_counsel_cost other_closing_costs",
        texts="going_in_cap_rate_as_of_date exchange_required_closing_date "
        "date_of_purchase_if_refinance construction_start_date construction_completion_date "
        "debt_maturity_date",
        flags="cash_out recent_phase_available recent_appraisal_available survey_available "
        "borrower_counsel_engaged",
        moments="updated_at",
    )


class TermSheets(PlainStream):
    """Term sheets of a deal."""

    name = "term_sheets"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/term-sheets"
    primary_keys = ("id",)
    schema = table(
        integers="id deal_id initial_funding term io_period org_id placement_id",
        numbers="total_rate base_rate_value effective_spread max_ltv max_ltc origination_fee "
        "exit_fee",
        texts="title lender_name quote_type base_rate rate_type recourse notes",
        flags="winning is_visible_to_borrower",
        moments="created_at updated_at",
    )


class Documents(PlainStream):
    """Documents of a deal."""

    name = "documents"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/documents"
    primary_keys = ("id",)
    schema = table(
        integers="id deal_id size_bytes",
        texts="file_name extension folder_path",
        moments="uploaded_at",
        objects="vault",
    )


class Vaults(PlainStream):
    """Vaults of a deal."""

    name = "vaults"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/vaults"
    primary_keys = ("id",)
    schema = table(integers="id deal_id document_count", texts="type title", flags="is_default")


class Memos(PlainStream):
    """Memos of a deal."""

    name = "memos"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/memos"
    primary_keys = ("uuid",)
    schema = table(
        integers="deal_id",
        texts="uuid title memo_type status pdf_generation_status memo_url",
        flags="pdf_ready",
        moments="published_at updated_at",
        objects="created_by",
        object_lists="vaults",
    )


class DealNotes(PlainStream):
    """Notes on a deal."""

    name = "deal_notes"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/notes"
    primary_keys = ("deal_id", "id")
    schema = table(integers="deal_id id", **NOTE)


class Checklists(PlainStream):
    """Checklists of a deal."""

    name = "checklists"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/checklists"
    primary_keys = ("id",)
    schema = table(integers="id deal_id", objects="vault", object_lists="sections tasks")

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[dict[str, Any]]:
        for place in (record, *(record.get("sections") or ())):
            for task in _tasks(place, "tasks"):
                yield {"task_id": task["id"]}


def _tasks(place: Record, field: str) -> Iterator[Record]:
    for task in place.get(field) or ():
        yield task
        yield from _tasks(task, "subtasks")


class ChecklistTaskNotes(PlainStream):
    """Notes on a checklist task."""

    name = "checklist_task_notes"
    parent_stream_type = Checklists
    path = "/checklist-tasks/{task_id}/notes"
    primary_keys = ("task_id", "id")
    schema = table(integers="task_id id", **NOTE)


class IndexEntities(PlainStream):
    """What a deal's facts are about."""

    name = "index_entities"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/index/entities"
    primary_keys = ("deal_id", "entity_ref")
    schema = table(
        integers="deal_id entity_id",
        texts="entity_ref entity_type group_ref",
        object_lists="identifying_metrics",
    )


class IndexMetricDefinitions(PlainStream):
    """Metrics of a deal."""

    name = "index_metric_definitions"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/index/metric-definitions"
    primary_keys = ("id",)
    schema = table(integers="deal_id id category_id", texts="metric_key metric_label value_type")


class IndexFacts(PlainStream):
    """Facts about a deal."""

    name = "index_facts"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/index/search"
    http_method = "POST"
    primary_keys = ("deal_id", "id")
    schema = table(
        integers="deal_id sot_id metric_id entity_id category_id",
        numbers="score",
        flags="needs_review",
        texts=f"id metric_label category_label {VALUE['texts']}",
        objects="source",
    )

    @override
    def prepare_request_payload(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        return {"context": self.config["fact_query"], "include_signed_urls": False, "limit": 200}


class IndexObservations(PlainStream):
    """Values of a metric for a deal."""

    name = "index_observations"
    parent_stream_type = Deals
    path = "/deals/{deal_id}/index/observations"
    http_method = "POST"
    primary_keys = ("deal_id", "id")
    schema = table(
        integers="deal_id id metric_id entity_id category_id weight",
        numbers="confidence",
        texts=f"original_text {VALUE['texts']}",
        objects="source",
    )

    @override
    def prepare_request_payload(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        metric = self.config["observation_metric_id"]
        return {"metric_id": metric, "include_signed_urls": False, "limit": 200}


class PlacementNotes(PlainStream):
    """Notes on a placement."""

    name = "placement_notes"
    parent_stream_type = Placements
    path = "/placements/{placement_id}/notes"
    primary_keys = ("placement_id", "id")
    schema = table(integers="placement_id id", **NOTE)


class ContactNotes(PlainStream):
    """Notes on a contact."""

    name = "contact_notes"
    parent_stream_type = Contacts
    path = "/contacts/{contact_id}/notes"
    primary_keys = ("contact_id", "id")
    schema = table(integers="contact_id id", **NOTE)


class CompanyNotes(PlainStream):
    """Notes on a company."""

    name = "company_notes"
    parent_stream_type = Companies
    path = "/companies/{company_id}/notes"
    primary_keys = ("company_id", "id")
    schema = table(integers="company_id id", **NOTE)


class LenderDetails(PlainStream):
    """What the read of one lender gives."""

    name = "lender_details"
    parent_stream_type = Lenders
    path = "/lenders/{org_id}"
    primary_keys = ("id",)
    records_jsonpath = "$.data"
    schema = table(
        integers="id org_id",
        texts="name website logo_url address city state zip about category linkedin_url "
        "square_logo_url",
        lists="lender_type aliases domains",
        object_lists="programs",
        moments="created_at updated_at",
    )


class LenderPrograms(PlainStream):
    """Loan programs of a lender."""

    name = "lender_programs"
    parent_stream_type = Lenders
    path = "/lenders/{org_id}/programs"
    primary_keys = ("org_id", "id")
    schema = table(
        integers="org_id id",
        numbers="min_loan_amount max_loan_amount",
        texts="title capital_source_type status",
        lists="loan_types recourse_types positions sponsor_states",
    )


STREAMS: tuple[type[PlainStream], ...] = (
    Deals,
    Placements,
    Contacts,
    Companies,
    Lenders,
    Pipelines,
    AssetTypes,
    BaseRates,
    AccountTeamMembers,
    CurrentUser,
    Accounts,
    BillingSummary,
    ApiKeys,
    DealFinancials,
    TermSheets,
    Documents,
    Vaults,
    Memos,
    DealNotes,
    Checklists,
    ChecklistTaskNotes,
    IndexEntities,
    IndexMetricDefinitions,
    IndexFacts,
    IndexObservations,
    PlacementNotes,
    ContactNotes,
    CompanyNotes,
    LenderDetails,
    LenderPrograms,
)
