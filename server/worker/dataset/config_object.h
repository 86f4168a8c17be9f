// Fields of a configuration file that came with a model. Internal to
// transform_preset.h. Thread safety: immutable; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_CONFIG_OBJECT_H_
#define STOCKPOT_SERVER_WORKER_DATASET_CONFIG_OBJECT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/json_reader.h"
#include "server/worker/dataset/transform_preset.h"

namespace stockpot {

// INVALID_ARGUMENT, reason DATA_SET_INVALID: "field 'size' is missing".
absl::Status BadConfig(absl::string_view field, absl::string_view message);

// An object of a file, whose fields are looked at one by one. Errors:
// BadConfig().
class ConfigObject {
 public:
  // `json` is an object and must outlive this.
  explicit ConfigObject(const Json& json) : json_(json) {}

  // Null where it is absent or null.
  const Json* Find(const char* key) const;
  absl::StatusOr<bool> Flag(const char* key, bool absent) const;
  absl::StatusOr<double> Number(const char* key, double absent) const;
  absl::StatusOr<std::string> Text(const char* key, const char* absent) const;
  // A number of pixels, which must be there.
  absl::StatusOr<int> Side(const char* key) const;
  static absl::StatusOr<int> ToSide(const char* key, const Json& value);

  absl::Status ReadNormalisation(const char* mean, const char* deviation,
                                 TransformPreset* preset) const;
  // bicubic, which is the default, or bilinear.
  absl::Status ReadInterpolation(const char* key, TransformPreset* preset) const;

 private:
  absl::StatusOr<std::vector<float>> Channels(const char* key) const;

  const Json& json_;
};

// The half of ReadTransformConfig() for transformers: `type` is its
// image_processor_type.
absl::StatusOr<TransformPreset> ReadProcessorConfig(const ConfigObject& json,
                                                    const std::string& type);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_CONFIG_OBJECT_H_
