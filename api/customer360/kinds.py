"""The one table of what customers and staff do (客户动态): every kind of activity, whose it is, which rows are of it.

The trend counts by it, the timeline shows by it. Kinds of one table and moment shut each other out, so that no moment
of a row is told twice. What did not happen yet (a planned follow-up, a coming visit) is no activity; booking it is.
"""

from collections.abc import Mapping

from api.customer360.kind import FactColumn, Kind, Side, day, decimal, integer, moment, money, text, texts, truth, words

APPOINTMENT = (
    text("visit_type", "就诊类型", "Visit type"),
    text("item_name", "预约项目", "Booked item"),
    text("channel", "预约渠道", "Booking channel"),
    text("status", "预约状态", "Status"),
    moment("scheduled_at", "预约时间", "Scheduled at"),
)
FOLLOW_UP = (
    text("channel", "跟进方式", "Channel"),
    text("result", "跟进结果", "Result"),
    words("content", "跟进内容", "Content"),
)
PAYMENT = (money("amount_fen", "金额", "Amount"), text("method", "收退款方式", "Method"))
WECOM = (text("add_way", "添加方式", "Added by"), text("channel_code", "渠道活码参数", "Channel code"))
POINTS = (
    integer("points", "积分变动", "Points"),
    text("reason", "变动原因", "Reason"),
    day("expires_on", "到期日", "Expires on"),
)
COUPON = (
    text("coupon_kind", "优惠券类型", "Coupon kind"),
    text("issued_reason", "获得方式", "Issued for"),
    text("state", "优惠券状态", "State"),
    day("valid_from", "有效期起", "Valid from"),
    day("valid_to", "有效期止", "Valid to"),
)
ROUND = (integer("round_no", "轮次", "Round"), text("origin", "参与方式", "Origin"), text("status", "状态", "Status"))
SLOT = (
    day("due_on", "应打卡日", "Due on"),
    text("status", "打卡状态", "Status"),
    integer("photo_count", "照片数", "Photos"),
)
TRANSFER = (text("transfer_kind", "转赠方式", "Kind"), text("state", "转赠状态", "State"))

# Codes that customers scan are theirs; whoever was searched for or taken from contacts was added by the employee.
SCANNED = "add_way in ('扫描二维码', '员工活码')"

_C, _S, _N = Side.CUSTOMER, Side.STAFF, Side.NEITHER


def _appointment(name: str, zh: str, en: str, side: Side, at: str, when: str = "true") -> Kind:
    return Kind(
        name, zh, en, side, "fct_appointment", at, ("appointment_id",), when=when, title="item_name",
        clinic="clinic_id", staff="doctor_id", facts=APPOINTMENT,
    )  # fmt: skip


def _payment(name: str, zh: str, en: str, side: Side, *more: FactColumn) -> Kind:
    return Kind(
        name, zh, en, side, "fct_payment", "paid_at", ("payment_id",), when=f"payment_kind = '{zh}'",
        title="method", clinic="clinic_id", staff="cashier_id", facts=(*PAYMENT, *more),
    )  # fmt: skip


def _follow_up(name: str, zh: str, en: str) -> Kind:
    done = f"status = '已完成' and follow_up_kind = '{zh}'"
    return Kind(
        name, zh, en, _S, "fct_follow_up", "done_at", ("follow_up_id",), when=done, title="result",
        clinic="clinic_id", staff="staff_id", facts=FOLLOW_UP,
    )  # fmt: skip


def _wecom(name: str, zh: str, en: str, side: Side, when: str) -> Kind:
    return Kind(
        name, zh, en, side, "fct_wecom_event", "occurred_at", ("corp_id", "external_user_id", "wecom_user_id"),
        when=when, title="add_way", staff="wecom_user_id", is_wecom_staff=True, is_personal_key=True, facts=WECOM,
    )  # fmt: skip


def _points(name: str, zh: str, en: str, side: Side, entry_kind: str) -> Kind:
    return Kind(
        name, zh, en, side, "fct_points_entry", "booked_at", ("entry_id",), when=f"entry_kind = '{entry_kind}'",
        title="reason", facts=POINTS,
    )  # fmt: skip


def _coupon(name: str, zh: str, en: str, side: Side, when: str) -> Kind:
    return Kind(
        name, zh, en, side, "fct_coupon", "issued_at", ("coupon_id",), when=when, title="coupon_name", facts=COUPON
    )


def _round(name: str, zh: str, en: str, side: Side, when: str, staff: str) -> Kind:
    return Kind(
        name, zh, en, side, "fct_checkin_round", "started_at", ("round_id",), when=when, title="activity_name",
        clinic="clinic_id", staff=staff, facts=ROUND,
    )  # fmt: skip


def _slot(name: str, zh: str, en: str, side: Side, at: str, when: str, staff: str | None) -> Kind:
    return Kind(
        name, zh, en, side, "fct_checkin_slot", at, ("round_id", "slot_no"), when=when, title="activity_name",
        clinic="clinic_id", staff=staff, facts=SLOT,
    )  # fmt: skip


def _lead(name: str, zh: str, en: str, side: Side, event: str) -> Kind:
    return Kind(
        name, zh, en, side, "fct_lead_event", "occurred_at", ("lead_event_id",), when=f"event = '{event}'",
        staff="staff_id", facts=FOLLOW_UP if event == "跟进" else (),
    )  # fmt: skip


ALL: tuple[Kind, ...] = (
    # at the clinic
    _appointment("appointment_made", "预约", "Appointment made", _C, "created_at"),
    _appointment("appointment_cancelled", "取消预约", "Appointment cancelled", _C, "cancelled_at"),
    _appointment("appointment_missed", "爽约", "Appointment missed", _N, "scheduled_at", "status = '爽约'"),
    Kind(
        "visit", "到店就诊", "Visit", _C, "fct_visit", "visited_at", ("visit_id",), title="visit_type",
        when="status <> '已取消'", clinic="clinic_id", staff="doctor_id",
        facts=(text("visit_type", "就诊类型", "Visit type"), text("department", "科室", "Department"),
               text("status", "就诊状态", "Status"), moment("left_at", "离店时间", "Left at")),
    ),
    Kind(
        "medical_record", "书写病历", "Medical record", _S, "fct_medical_record", "recorded_at",
        ("medical_record_id",), title="record_type", clinic="clinic_id", staff="doctor_id",
        facts=(text("record_type", "病历类型", "Record type"), truth("is_orthodontic", "是否正畸", "Orthodontic"),
               words("chief_complaint", "主诉", "Chief complaint"), words("diagnosis", "诊断", "Diagnosis"),
               words("treatment", "处置", "Treatment")),
    ),
    Kind(
        "oral_examination", "口腔检查", "Oral examination", _S, "fct_oral_examination", "examined_at",
        ("examination_id",), title="health_grade", clinic="clinic_id", staff="doctor_id",
        facts=(text("health_grade", "口腔健康程度", "Oral health grade"),
               text("follow_up_status", "跟进状态", "Follow-up status"),
               day("next_follow_up_on", "下次跟进日期", "Next follow-up on")),
    ),
    Kind(
        "image", "拍摄影像", "Image", _S, "fct_image", "taken_at", ("image_id",), title="modality", clinic="clinic_id",
        facts=(text("modality", "影像类型", "Modality"),),
    ),
    Kind(
        "treatment_suggestion", "治疗建议", "Treatment suggestion", _S, "fct_treatment_suggestion", "suggested_at",
        ("suggestion_id",), title="suggestion_name", clinic="clinic_id", staff="doctor_id",
        facts=(texts("symptoms", "症状", "Symptoms"), texts("tooth_positions", "牙位", "Teeth"),
               text("priority", "优先级", "Priority"), text("charge_status", "收费状态", "Charge status")),
    ),
    Kind(
        "execution", "执行划扣", "Execution", _S, "fct_execution", "created_at", ("execution_id",), title="step_name",
        clinic="clinic_id", staff="step_doctor_id",
        facts=(texts("item_names", "项目", "Items"), text("stage", "执行阶段", "Stage"),
               text("step_status", "治疗步骤状态", "Step status")),
    ),
    _follow_up("after_care", "随访", "After-care follow-up"),
    _follow_up("return_visit", "回访", "Return-visit call"),
    _follow_up("consultation", "咨询", "Consultation"),
    # money
    Kind(
        "bill", "开单", "Bill", _S, "fct_bill", "billed_at", ("bill_id",), title="bill_type", clinic="clinic_id",
        staff="biller_id",
        facts=(text("bill_type", "账单类型", "Bill type"), text("status", "账单状态", "Status"),
               money("receivable_fen", "应收金额", "Receivable"), money("net_paid_fen", "净实收金额", "Net paid"),
               money("owed_fen", "欠费金额", "Owed")),
    ),
    _payment("payment", "收款", "Payment", _C),
    _payment("refund", "退款", "Refund", _S, words("refund_reason", "退款原因", "Refund reason")),
    Kind(
        "card_bought", "购买卡项", "Card bought", _C, "fct_card_asset", "acquired_at", ("card_asset_id",),
        title="card_name",
        facts=(text("card_type", "卡券类型", "Card type"), integer("total_times", "总次数", "Times"),
               integer("remaining_times", "剩余次数", "Times left"), day("valid_to", "有效期止", "Valid to")),
    ),
    Kind(
        "stored_value_opened", "开通储值", "Stored value opened", _C, "fct_stored_value_account", "opened_at",
        ("account_id",), title="card_name",
        facts=(money("principal_fen", "本金余额", "Principal left"), money("bonus_fen", "赠金余额", "Bonus left"),
               text("status", "账户状态", "Status")),
    ),
    # online
    Kind(
        "mini_program", "小程序行为", "Mini-program action", _C, "fct_mini_program_event", "occurred_at", ("event_id",),
        title="event",
        facts=(text("event", "事件", "Event"), text("object_name", "对象", "Object"),
               text("campaign_name", "活动名称", "Campaign"), text("channel", "进入渠道", "Channel"),
               money("amount_fen", "金额", "Amount"), integer("duration_seconds", "停留秒数", "Seconds")),
    ),
    Kind(
        "official_account", "服务号行为", "Official-account action", _C, "fct_official_account_event", "occurred_at",
        ("event_id",), title="event",
        facts=(text("event", "事件", "Event"), text("event_key", "事件参数", "Event key")),
    ),
    _wecom("wecom_added", "添加企微", "WeCom added", _C, f"event = '添加' and {SCANNED}"),
    _wecom("wecom_added_by_staff", "员工添加企微", "WeCom added by staff", _S,
           f"event = '添加' and ({SCANNED}) is not true"),
    _wecom("wecom_removed", "删除企微", "WeCom removed", _C, "event = '删除' and removed_by = '客户'"),
    _wecom("wecom_removed_by_staff", "员工删除企微", "WeCom removed by staff", _S,
           "event = '删除' and removed_by is distinct from '客户'"),
    Kind(
        "wecom_tagged", "打企微标签", "WeCom tag put on", _S, "fct_wecom_tag", "tagged_at",
        ("corp_id", "external_user_id", "wecom_user_id", "tag_id"), title="tag_name", staff="wecom_user_id",
        is_wecom_staff=True, is_personal_key=True,
        facts=(text("group_name", "标签组", "Tag group"), text("tag_name", "标签", "Tag"),
               text("tag_type", "标签类型", "Tag type")),
    ),
    # check-in and reviews
    _round("checkin_joined", "参与打卡", "Check-in joined", _C, "origin is distinct from '医生邀请'",
           "follow_staff_id"),
    _round("checkin_invited", "邀请打卡", "Check-in invited", _S, "origin = '医生邀请'", "inviter_staff_id"),
    _slot("checkin", "打卡", "Check-in", _C, "checked_in_at", "is_done and not is_made_up", None),
    _slot("checkin_made_up", "帮补卡", "Check-in made up", _S, "checked_in_at", "is_done and is_made_up",
          "recorded_by_staff_id"),
    _slot("checkin_evaluated", "评价打卡", "Check-in evaluated", _S, "evaluated_at", "true", "evaluator_staff_id"),
    Kind(
        "review", "服务评价", "Review", _C, "fct_review", "submitted_at", ("review_id",), title="rating_level",
        clinic="clinic_id", staff="doctor_id",
        facts=(decimal("stars", "星级", "Stars"), text("rating_level", "评价等级", "Rating level"),
               texts("review_tags", "评价标签", "Review tags"), words("comment", "文字评价", "Comment"),
               truth("is_on_wall", "是否上墙", "On the wall")),
    ),
    # rewards
    _points("points_earned", "获得积分", "Points earned", _N, "发放"),
    _points("points_spent", "消费积分", "Points spent", _C, "消费"),
    _points("points_returned", "退回积分", "Points returned", _N, "退回"),
    _points("points_expired", "积分过期", "Points expired", _N, "过期"),
    _points("points_adjusted", "调整积分", "Points adjusted", _S, "调整"),
    _coupon("coupon_claimed", "领取优惠券", "Coupon claimed", _C, "issued_reason in ('活动领取', '商城购买')"),
    _coupon("coupon_given", "发放优惠券", "Coupon given", _S, "issued_reason = '人工发放'"),
    _coupon("coupon_received", "获得优惠券", "Coupon received", _N,
            "(issued_reason in ('活动领取', '商城购买', '人工发放')) is not true"),
    Kind(
        "coupon_used", "使用优惠券", "Coupon used", _C, "fct_coupon", "used_at", ("coupon_id",), title="coupon_name",
        clinic="used_clinic_id", facts=COUPON,
    ),
    Kind(
        "coupon_sent", "转赠优惠券", "Coupon sent on", _C, "fct_coupon_transfer", "created_at", ("transfer_id",),
        when="transfer_kind is distinct from '医生转赠'", staff="operator_staff_id", facts=TRANSFER,
    ),
    Kind(
        "coupon_sent_by_staff", "医生转赠优惠券", "Coupon sent on by a doctor", _S, "fct_coupon_transfer", "created_at",
        ("transfer_id",), when="transfer_kind = '医生转赠'", staff="operator_staff_id", facts=TRANSFER,
    ),
    Kind(
        "coupon_accepted", "领取转赠优惠券", "Sent coupon accepted", _C, "fct_coupon_transfer", "claimed_at",
        ("transfer_id",), customer="to_customer_key", facts=TRANSFER,
    ),
    # leads
    _lead("lead_created", "线索进入线索池", "Lead came into the pool", _C, "创建"),
    _lead("lead_assigned", "线索分配", "Lead assigned", _S, "分配"),
    _lead("lead_claimed", "线索领取", "Lead claimed", _S, "领取"),
    _lead("lead_recalled", "线索回收", "Lead recalled", _S, "回收"),
    _lead("lead_converted", "线索转为客户", "Lead converted", _S, "转化"),
    _lead("lead_follow_up", "线索跟进", "Lead followed up", _S, "跟进"),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in ALL}
