// Resizing and cropping of decoded images.
//
// Source: torchvision's transforms on PIL images. Resize with antialiasing gives Pillow's bytes
// exactly: a separable filter whose support grows with the reduction, coefficients of 22 fractional
// bits, each pass rounded to 8 bits (bicubic a = -0.5, bilinear = triangle). Without
// antialiasing it is torch.nn.functional.interpolate (align_corners=False, bicubic a = -0.75) in
// float32, rounded and clamped: what torchvision does to tensors, to within one grey level.
// CenterCrop pads with black where the image is smaller.
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_GEOMETRY_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_GEOMETRY_H_

#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/image.h"

namespace stockpot {

// Errors: INVALID_ARGUMENT (DATA_SET_INVALID) for negative sizes, one of two sizes, or both kinds
// of resize.
absl::Status CheckGeometry(const ImageGeometry& geometry);

// Resizes, then crops. `geometry` has been checked.
// Errors: INVALID_ARGUMENT when the result of a step would have more than `max_pixels`.
absl::StatusOr<Image> ApplyGeometry(Image image, const ImageGeometry& geometry,
                                    uint64_t max_pixels);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_GEOMETRY_H_
