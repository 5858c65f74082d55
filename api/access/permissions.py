"""The permission points (权限点) that roles are made of.

Those of the check-in, reviews and rewards are the seeds' (S000 2.2.4, 2.9, 2.11; S004 2.2; S001 1; S003 3.4).
"""

from enum import StrEnum

ALL = "*"  # stands for every point, also those of later versions: company and clinic administrators


class Permission(StrEnum):
    """One thing somebody may be allowed to do."""

    CUSTOMER_VIEW = "customer.view"
    CUSTOMER_PHONE_VIEW = "customer.phone.view"
    CUSTOMER_NAME_VIEW = "customer.name.view"
    CUSTOMER_ID_NUMBER_VIEW = "customer.id_number.view"
    CUSTOMER_EXPORT = "customer.export"
    CUSTOMER_CONSENT_EDIT = "customer.consent.edit"
    CUSTOMER_ERASE = "customer.erase"
    CUSTOMER_TAG = "customer.tag"
    CUSTOMER_MESSAGE = "customer.message"
    IDENTITY_VIEW = "identity.view"
    IDENTITY_MANAGE = "identity.manage"
    DASHBOARD_VIEW = "dashboard.view"
    CHECKIN_MANAGE = "checkin.manage"
    CHECKIN_VIEW = "checkin.view"
    CHECKIN_MAKE_UP = "checkin.make_up"
    CHECKIN_EVALUATE = "checkin.evaluate"
    CHECKIN_REASSIGN = "checkin.reassign"
    REVIEW_VIEW = "review.view"
    REVIEW_MANAGE = "review.manage"
    REVIEW_REPLY = "review.reply"
    REVIEW_WALL = "review.wall"
    REWARD_MANAGE = "reward.manage"
    COUPON_TRANSFER = "coupon.transfer"
    TAG_MANAGE = "tag.manage"
    SEGMENT_MANAGE = "segment.manage"
    ACCESS_VIEW = "access.view"
    ACCESS_MANAGE = "access.manage"
    AUDIT_VIEW = "audit.view"


# Chinese, English.
LABELS: dict[Permission, tuple[str, str]] = {
    Permission.CUSTOMER_VIEW: ("查看客户列表", "View customers"),
    Permission.CUSTOMER_PHONE_VIEW: ("查看完整手机号", "View unmasked phones"),
    Permission.CUSTOMER_NAME_VIEW: ("查看完整姓名", "View unmasked names"),
    Permission.CUSTOMER_ID_NUMBER_VIEW: ("查看完整证件号", "View unmasked ID numbers"),
    Permission.CUSTOMER_EXPORT: ("导出客户", "Export customers"),
    Permission.CUSTOMER_CONSENT_EDIT: ("维护客户授权", "Edit customers' consents"),
    Permission.CUSTOMER_ERASE: ("删除客户个人信息", "Erase a customer's personal data"),
    Permission.CUSTOMER_TAG: ("给客户打标签", "Put tags on customers and take them off"),
    Permission.CUSTOMER_MESSAGE: ("给客户群发消息", "Send messages to many customers"),
    Permission.IDENTITY_VIEW: ("查看身份档案与变更记录", "View customers' identities and their history"),
    Permission.IDENTITY_MANAGE: ("人工规则管理(合并、拆分身份等)", "Decide by hand who is one person"),
    Permission.DASHBOARD_VIEW: ("数据看板", "Dashboard"),
    Permission.CHECKIN_MANAGE: ("正畸打卡活动管理", "Manage check-in activities"),
    Permission.CHECKIN_VIEW: ("查看患者打卡", "View patients' check-ins"),
    Permission.CHECKIN_MAKE_UP: ("正畸打卡帮补卡", "Make up check-ins for patients"),
    Permission.CHECKIN_EVALUATE: ("评价打卡", "Evaluate check-ins"),
    Permission.CHECKIN_REASSIGN: ("批量分配待评价打卡任务", "Reassign evaluation tasks"),
    Permission.REVIEW_VIEW: ("查看服务评价", "View service reviews"),
    Permission.REVIEW_MANAGE: ("服务评价配置", "Configure service reviews"),
    Permission.REVIEW_REPLY: ("回复服务评价", "Reply to service reviews"),
    Permission.REVIEW_WALL: ("评价上墙", "Put reviews on the wall"),
    Permission.REWARD_MANAGE: ("积分与优惠券管理", "Manage points and coupons"),
    Permission.COUPON_TRANSFER: ("卡券转赠", "Transfer coupons"),
    Permission.TAG_MANAGE: ("标签管理", "Manage tags"),
    Permission.SEGMENT_MANAGE: ("分群管理", "Manage segments"),
    Permission.ACCESS_VIEW: ("查看员工与角色", "View staff and roles"),
    Permission.ACCESS_MANAGE: ("角色与密钥管理", "Manage roles and keys"),
    Permission.AUDIT_VIEW: ("查看操作日志", "View the audit log"),
}
