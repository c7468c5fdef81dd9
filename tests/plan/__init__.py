"""Every decision, alone: records in, plan out."""
