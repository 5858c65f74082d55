"""Patients of the mini program: logging in, whom they act for (切换就诊人), logging out."""
